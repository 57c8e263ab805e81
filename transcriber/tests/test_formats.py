"""What is written is read back with other people's parsers."""

import html
import io
import json
from itertools import pairwise

import pysubs2
import webvtt
from hypothesis import assume, given
from hypothesis import strategies as st

from transcriber.formats import FORMATS, as_json, srt, txt, vtt
from transcriber.transcript import Segment, Transcript

HOURS_99 = 99 * 3600 * 1000
times = st.integers(-5000, HOURS_99)
texts = st.text(st.one_of(st.characters(), st.sampled_from("<>&-{}\\N \n\r\u2028\x00\x851")), max_size=40)
pieces = st.lists(st.builds(Segment, times, times, texts), max_size=12)
plain = st.lists(st.builds(Segment, times, times, st.text("abc é会ю👩 '", max_size=20)), max_size=12)


def made(parts: list[Segment]) -> Transcript:
    return Transcript.of(parts, language="en", duration=11.0004, model="tiny.en")


def read_by_webvtt(content: str, extension: str) -> tuple[Segment, ...]:
    cues = webvtt.from_buffer(io.BytesIO(content.encode()), format=extension)
    return tuple(
        Segment(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), html.unescape(cue.raw_text))
        for cue in cues.captions
    )


SAID = made([Segment(0, 8060, " And so, my fellow\nAmericans"), Segment(8060, 3_723_004, " a <b> & c --> d")])


def test_txt_has_a_segment_a_line() -> None:
    assert txt(SAID) == "And so, my fellow Americans\na <b> & c --> d\n"


def test_srt_is_as_players_want_it() -> None:
    assert srt(SAID) == (
        "1\n00:00:00,000 --> 00:00:08,060\nAnd so, my fellow Americans\n\n"
        "2\n00:00:08,060 --> 01:02:03,004\na <b> & c → d\n\n"
    )


def test_vtt_is_as_browsers_want_it() -> None:
    assert vtt(SAID) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:08.060\nAnd so, my fellow Americans\n\n"
        "00:00:08.060 --> 01:02:03.004\na &lt;b&gt; &amp; c --&gt; d\n\n"
    )


def test_json_is_as_documented() -> None:
    assert json.loads(as_json(SAID)) == {
        "language": "en",
        "duration": 11.0,
        "model": "tiny.en",
        "text": "And so, my fellow Americans a <b> & c --> d",
        "segments": [
            {"start": 0.0, "end": 8.06, "text": "And so, my fellow Americans"},
            {"start": 8.06, "end": 3723.004, "text": "a <b> & c --> d"},
        ],
    }


def test_a_recording_without_speech_gives_empty_files_that_are_valid() -> None:
    silence = made([Segment(0, 11000, " \n")])
    assert txt(silence) == srt(silence) == ""
    assert read_by_webvtt(vtt(silence), "vtt") == ()
    assert json.loads(as_json(silence))["segments"] == []


def test_more_than_a_hundred_hours_are_told_right() -> None:
    assert "123:00:00,000 --> 123:00:01,000" in srt(made([Segment(123 * 3_600_000, 123 * 3_600_000 + 1000, "late")]))


@given(pieces)
def test_segments_are_in_order_apart_and_not_empty(parts: list[Segment]) -> None:
    segments = made(parts).segments
    assert all(0 <= segment.start < segment.end for segment in segments)
    assert all(first.end <= second.start for first, second in pairwise(segments))
    assert all(segment.text and segment.text == segment.text.strip() for segment in segments)
    assert all(len(segment.text.splitlines()) == 1 for segment in segments)


@given(st.lists(st.tuples(st.integers(1, 5000), texts), max_size=12))
def test_segments_that_are_in_order_keep_their_times(parts: list[tuple[int, str]]) -> None:
    clock, given_parts = 0, []
    for length, text in parts:
        given_parts.append(Segment(clock, clock + length, text + "x"))
        clock += length
    assert [(segment.start, segment.end) for segment in made(given_parts).segments] == [
        (segment.start, segment.end) for segment in given_parts
    ]


@given(pieces)
def test_every_file_can_be_stored(parts: list[Segment]) -> None:
    for _, write in FORMATS.values():
        assert write(made(parts)).encode().decode() == write(made(parts))


@given(pieces)
def test_json_loses_nothing(parts: list[Segment]) -> None:
    told = json.loads(as_json(made(parts)))["segments"]
    assert tuple(Segment(round(x["start"] * 1000), round(x["end"] * 1000), x["text"]) for x in told) == (
        made(parts).segments
    )


@given(pieces)
def test_vtt_loses_nothing(parts: list[Segment]) -> None:
    assert read_by_webvtt(vtt(made(parts)), "vtt") == made(parts).segments


@given(pieces)
def test_srt_keeps_every_time(parts: list[Segment]) -> None:
    read = pysubs2.SSAFile.from_string(srt(made(parts)), format_="srt")
    assert [(cue.start, cue.end) for cue in read] == [(segment.start, segment.end) for segment in made(parts).segments]


@given(plain)
def test_srt_keeps_plain_words(parts: list[Segment]) -> None:
    assume(made(parts).segments)  # this parser takes no empty file
    assert read_by_webvtt(srt(made(parts)), "srt") == made(parts).segments
