"""Stretches of real audio, cut out and looked at."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Interrupted, Retry
from pipeline.ffmpeg import binary
from pipeline.transcript import Word
from transcriber.excerpt import excerpt, excerpt_clock, said_apart
from transcriber.heard import Heard
from transcriber.parts import Span
from transcriber.tests.sounds import make_sound

BEEP = "aevalsrc=if(between(t\\,5\\,6)+between(t\\,12\\,12.5)\\,0.5*sin(2*PI*500*t)\\,0):s=16000:d=20"


def loud(path: Path) -> list[tuple[float, float]]:
    """When a file is loud, to the tenth of a second."""
    command = [binary(), "-loglevel", "error", "-i", str(path), "-f", "s16le", "-ar", "16000", "-ac", "1", "-"]
    samples = memoryview(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout).cast("h")
    tenths = [max(samples[at : at + 1600]) > 3000 for at in range(0, len(samples), 1600)]
    edges = [n for n in range(len(tenths) + 1) if (n and tenths[n - 1]) != (n < len(tenths) and tenths[n])]
    return [(first / 10, last / 10) for first, last in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_stretches_stand_one_after_the_other_with_silence_between_and_are_as_long_as_they_were(
    tmp_path: Path, ending: str
) -> None:
    audio = make_sound(tmp_path / f"speech.{ending}", BEEP)
    spans = [Span(start=4.5, end=7), Span(start=11, end=13.25)]
    made = excerpt(audio, spans, 20, lambda *_: None)
    with av.open(str(made)) as opened:
        assert opened.streams.audio[0].codec.name.startswith("flac" if ending == "flac" else ("opus", "libopus"))
        assert (opened.duration or 0) / av.time_base == pytest.approx(5.75, abs=0.03)
    edges = [edge for stretch in loud(made) for edge in stretch]
    assert edges == pytest.approx([0.5, 1.5, 4.5, 5.0], abs=0.11)
    assert excerpt_clock(spans).seconds == 5.75


def test_many_stretches_do_not_drift(tmp_path: Path) -> None:
    audio = make_sound(tmp_path / "speech.flac", "anoisesrc=d=600:r=16000:seed=1")
    spans = [Span(start=at + 0.13, end=at + 0.86) for at in range(600)]
    with av.open(str(excerpt(audio, spans, 600, lambda *_: None))) as opened:
        assert (opened.duration or 0) / av.time_base == pytest.approx(600 * 0.73 + 599, abs=0.01)


TWO = (Span(start=10, end=14), Span(start=100, end=104))


def apart(piece: Heard, spans: Sequence[Span] = TWO) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in said_apart(piece, excerpt_clock(spans))]


def test_what_is_heard_over_a_joint_is_parted_there_by_its_words() -> None:
    words = [(1, 1.5, "Sing"), (1.6, 1.8, "a"), (2, 4.2, "song"), (4.8, 6.1, "of"), (6.2, 8, "sixpence")]
    piece = Heard(1, 8, "Sing a song, of sixpence!", tuple(Word(*word) for word in words), compression=1.5)
    first, second = said_apart(piece, excerpt_clock(TWO))
    assert (first.start, first.end, first.text) == (11, 14, "Sing a song,")
    assert (second.start, second.end, second.text) == (100, 103, "of sixpence!")
    assert second.words == (Word(100, 101.1, "of"), Word(101.2, 103, "sixpence"))
    assert first.compression == second.compression == 1.5


def test_and_by_the_length_of_its_text_where_words_have_no_times() -> None:
    assert apart(Heard(0, 9, "Six of them, six more.")) == [(10, 14, "Six of them,"), (100.318, 104, "six more.")]


@pytest.mark.parametrize(
    ("start", "end", "text", "there"),
    [
        (4, 9, "And then they came, one after the other.", (100, 104)),
        (0, 5, "We were walking until it was dark.", (10, 14)),
        (0, 4.4, "We were walking until it was dark.", (10, 14)),
    ],
)
def test_the_silence_between_belongs_to_none(start: float, end: float, text: str, there: tuple[float, float]) -> None:
    assert apart(Heard(start, end, text)) == [(*there, text)]


def test_what_is_heard_in_one_stretch_stays_whole() -> None:
    words = (Word(5.2, 6, "Bye"),)
    assert apart(Heard(5.2, 7, "Bye,  bye", words)) == [(100.2, 102, "Bye,  bye")]
    assert apart(Heard(3.8, 4.4, "early")) == [(13.8, 14, "early")]
    assert apart(Heard(4.6, 5.4, "late")) == [(100, 100.4, "late")]
    assert apart(Heard(0, 99, "All"), [Span(start=3, end=5)]) == [(3, 5, "All")]


def test_a_segment_that_begins_before_its_words_begins_in_their_stretch() -> None:
    assert apart(Heard(3.9, 6, "Bye.", (Word(5.2, 6, "Bye"),))) == [(100, 101, "Bye.")]


@given(st.lists(st.sampled_from(["One,", "two.", "Three"]), min_size=1), st.floats(0, 20), st.floats(0, 20))
def test_no_text_is_lost_and_each_piece_is_in_one_stretch(texts: list[str], start: float, length: float) -> None:
    spans = [*TWO, Span(start=500, end=503)]
    pieces = apart(Heard(start, start + length, " ".join(texts)), spans)
    assert " ".join(text for _, _, text in pieces) == " ".join(texts)
    for begins, ends, _ in pieces:
        assert any(span.start <= begins <= ends <= span.end for span in spans)


def test_what_ends_an_attempt_ends_the_cutting(tmp_path: Path) -> None:
    def progress(percent: float, speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        excerpt(make_sound(tmp_path / "a.flac", BEEP), [Span(start=0, end=1)], 20, progress)


def test_audio_that_cannot_be_cut_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no sound")
    with pytest.raises(Retry):
        excerpt(tmp_path / "a.flac", [Span(start=0, end=1)], 20, lambda *_: None)
