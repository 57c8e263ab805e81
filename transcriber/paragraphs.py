"""A transcript as prose: who said what, in pieces that people read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.transcript import Layer
from transcriber.units import Unit, text_of, units

_PAUSE = 2000
"""Milliseconds of silence that end a paragraph."""
_LONG, _LONGEST = 600, 1200
"""Columns: it ends with the first sentence after the one, and with the first word after the other."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """`start` in milliseconds of the recording; `speaker` as the layer calls who speaks."""

    start: int
    text: str
    speaker: str | None = None

    @property
    def time(self) -> str:
        """Hours, minutes and seconds."""
        minutes, seconds = divmod(self.start // 1000, 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def paragraphs(layer: Layer) -> Iterator[Paragraph]:
    """Every word of the layer."""
    return (Paragraph(said[0].start, text_of(said), said[0].speaker) for said in _grouped(units(layer.segments())))


def _grouped(said: Iterable[Unit]) -> Iterator[list[Unit]]:
    group: list[Unit] = []
    columns = 0
    for unit in said:
        if group and _is_over(group[-1], unit, columns):
            yield group
            group, columns = [], 0
        group.append(unit)
        columns += len(unit.joint) + unit.width
    if group:
        yield group


def _is_over(before: Unit, after: Unit, columns: int) -> bool:
    if before.speaker != after.speaker or after.start - before.end >= _PAUSE:
        return True
    return (columns >= _LONG and before.ends) or (columns >= _LONGEST and before.whole)
