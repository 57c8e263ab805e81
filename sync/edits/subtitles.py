"""What a person did to an srt or vtt file, as a change of the transcript."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from pipeline.correction import TOLERANCE
from pipeline.errors import Reject
from pipeline.transcript import Segment, fold
from sync.edits.carrying import Change, Heard, Said, Slice, carried
from sync.edits.placing import LOOK_ALIKES, MARKUP, in_order, letters, slices
from sync.edits.subtitle_files import Cue, clock, read

_ROUNDED = 10
"""Milliseconds by which a time may differ and is the same: some editors keep hundredths of a second."""


def srt(content: str, written: str, segments: Sequence[Segment], duration: float) -> list[Segment]:
    """Who speaks is not told: everybody stays who they were. Raises Reject."""
    return _edited("srt", content, written, segments, duration)


def vtt(content: str, written: str, segments: Sequence[Segment], duration: float) -> list[Segment]:
    """Raises Reject."""
    return _edited("vtt", content, written, segments, duration)


def _edited(kind: str, content: str, written: str, segments: Sequence[Segment], duration: float) -> list[Segment]:
    given, before = read(kind, content), read(kind, written)
    if given == before:
        return list(segments)
    if not given:
        raise Reject("The edited file has no subtitles in it.")
    texts = [fold(segment.text) for segment in segments]
    places = _places(before, texts)
    if places is None:
        before, places = [], []
    twins = _twins(given, before)
    new = [cue for number, cue in enumerate(given) if number not in twins]
    for cue in new:
        _check(cue, duration)
    changes = _changes(kind, given, before, twins, places, texts) if before else _all_gone(texts)
    heard, whole = Heard(segments), "".join(texts)
    made = [heard.segment(cue.start / 1000, cue.end / 1000, _said(kind, cue, whole)) for cue in new]
    return sorted([*carried(segments, texts, changes), *made], key=lambda segment: segment.start)


def _places(cues: Sequence[Cue], texts: Sequence[str]) -> list[list[Slice]] | None:
    """Which pieces of segments each cue was made of; None if it was not made of these."""
    said = [letters(cue.text) for cue in cues]
    order = in_order(said, letters("".join(texts)))
    if order is None:
        return None
    found = dict(zip(order, slices((len(said[number]) for number in order), texts), strict=True))
    return [found[number] for number in range(len(cues))]


def _twins(given: Sequence[Cue], before: Sequence[Cue]) -> dict[int, int]:
    """Which cue of before stands at the same time; ours do not overlap."""
    twins: dict[int, int] = {}
    starts, free = [cue.start for cue in before], set(range(len(before)))
    for number, cue in enumerate(given):
        place = bisect_left(starts, cue.start - _ROUNDED)
        if place in free and _is_at(cue, before[place]):
            twins[number] = place
            free.remove(place)
    return twins


def _is_at(cue: Cue, other: Cue) -> bool:
    return abs(cue.start - other.start) <= _ROUNDED and abs(cue.end - other.end) <= _ROUNDED


def _changes(
    kind: str,
    given: Sequence[Cue],
    before: Sequence[Cue],
    twins: Mapping[int, int],
    places: Sequence[Sequence[Slice]],
    texts: Sequence[str],
) -> Iterator[Change]:
    """Cues that are gone or stand elsewhere leave a cut."""
    for number, place in twins.items():
        cue, twin = given[number], before[place]
        if (cue.text, cue.speaker) != (twin.text, twin.speaker):
            known = "".join(texts[piece.segment][piece.begin : piece.end] for piece in places[place])
            speaker = None if cue.speaker == twin.speaker else cue.speaker
            yield Change(places[place], [Said(_said(kind, cue, known).text, speaker)])
    for place in set(range(len(before))).difference(twins.values()):
        yield Change(places[place], cut=True)


def _all_gone(texts: Sequence[str]) -> Iterator[Change]:
    return (Change([Slice(number, 0, len(text))], cut=True) for number, text in enumerate(texts) if text)


def _said(kind: str, cue: Cue, known: str) -> Said:
    """SubRip tells no speaker, and has no sign of markup: it is again what it stood for, where the text before knew only that."""
    if kind != "srt":
        return Said(cue.text, cue.speaker)
    text = cue.text
    for sign, look in zip(MARKUP, LOOK_ALIKES, strict=True):
        if sign in known and look not in known:
            text = text.replace(look, sign)
    return Said(text)


def _check(cue: Cue, duration: float) -> None:
    if cue.end <= cue.start:
        raise Reject(f"The subtitle at {clock(cue.start)} ends before it begins.")
    if cue.end > (duration + TOLERANCE) * 1000:
        raise Reject(f"The subtitle at {clock(cue.start)} ends behind the recording, which lasts {duration:g} seconds.")
