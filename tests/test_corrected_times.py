"""A correction changes what is read, and not when."""

from pathlib import Path

from gateway.correction import GivenSegment, corrected
from pipeline.options import Wording
from pipeline.transcript import About, Layer, Segment, Word, write_layer
from transcriber.cues import Cue, cues
from transcriber.formats import FORMATS

SAID = [
    (0.2, "My"),
    (0.5, "name"),
    (0.9, "is"),
    (1.2, "Johnson,"),
    (16.2, "and"),
    (16.6, "I"),
    (17.0, "eat"),
    (17.5, "clover."),
]
"""With a long pause, of which the segment says nothing."""
TEXT = "My name is Johnson, and I eat clover."


def spoken(path: Path, segments: list[Segment]) -> Layer:
    write_layer(path, About(20.0), segments)
    return Layer(path)


def shown(layer: Layer) -> list[tuple[int, int]]:
    return [(cue.start, cue.end) for cue in cues(layer)]


def test_subtitles_of_a_corrected_segment_stand_where_they_stood(tmp_path: Path) -> None:
    segment = Segment(0, 18.5, TEXT, tuple(Word(start, start + 0.3, text, 0.9) for start, text in SAID))
    before = spoken(tmp_path / "before", [segment])
    given = GivenSegment(start=0, end=18.5, text=TEXT.replace("Johnson", "Jonsson"))
    after = spoken(tmp_path / "after", corrected([given], before.segments(), 20.0))
    found: list[Cue] = list(cues(after))
    assert [cue.lines for cue in found] == [("My name is Jonsson,",), ("and I eat clover.",)]
    assert shown(after) == shown(before)
    assert found[1].start == 16_200
    FORMATS["json"].write(after, tmp_path / "json", Wording())
    written = (tmp_path / "json").read_text()
    assert '"text": "Jonsson,"' in written
    assert "Johnson" not in written
