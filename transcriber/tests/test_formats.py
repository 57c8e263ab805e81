"""What is written is read back with other people's parsers."""

import html
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docx
import pysubs2
import pytest
import webvtt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.options import Format, Options
from pipeline.transcript import Layer, Segment, Word, fold
from transcriber.cues import cues
from transcriber.formats import FORMATS
from transcriber.paragraphs import paragraphs
from transcriber.tests.speech import anything, chaos, talk, texts

Maker = Callable[..., Layer]
TIMES = Options(txt_times=True)
TALK = [
    Segment(0, 6.06, " And so, my fellow\nAmericans", speaker="Ada"),
    Segment(3723.004, 3725, " a <b> & c --> d", (Word(3723.004, 3723.5, " a", 0.5),), confidence=0.25, doubtful=True),
]
SAME = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a layer in a format, as it was wished for."""

    def write(layer: Layer, form: Format, wishes: Options | None = None) -> Path:
        path = tmp_path / f"transcript.{form}"
        FORMATS[form].write(layer, path, wishes or Options())
        return path

    return write


Writer = Callable[..., Path]


def text(path: Path) -> str:
    return path.read_bytes().decode()


def read(path: Path) -> list[tuple[int, int, str]]:
    if not path.stat().st_size:
        return []  # this parser takes no empty file
    found = webvtt.from_buffer(io.BytesIO(path.read_bytes()), format=path.suffix[1:]).captions
    return [(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.raw_text) for cue in found]


def cues_of(layer: Layer) -> list[tuple[int, int, str]]:
    return [(cue.start, cue.end, "\n".join(cue.lines)) for cue in cues(layer)]


def said(path: Path) -> list[str]:
    """The paragraphs of a Markdown file as a reader sees them."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text(path))
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    inlines = [token.children or [] for token in tokens if token.type == "inline"]
    assert {child.type for children in inlines for child in children} <= {
        "text",
        "strong_open",
        "strong_close",
        "text_special",
    }
    return ["".join(child.content for child in children) for children in inlines]


def test_txt_has_paragraphs(a_layer: Maker, written: Writer) -> None:
    plain = written(a_layer(*TALK), "txt")
    assert text(plain) == "Ada: And so, my fellow Americans\n\na <b> & c --> d\n"
    timed = written(a_layer(*TALK), "txt", TIMES)
    assert text(timed) == "[00:00:00] Ada: And so, my fellow Americans\n\n[01:02:03] a <b> & c --> d\n"


def test_srt_is_as_players_want_it(a_layer: Maker, written: Writer) -> None:
    assert text(written(a_layer(*TALK), "srt")) == (
        "1\n00:00:00,000 --> 00:00:06,060\nAnd so, my fellow Americans\n\n"
        "2\n01:02:03,004 --> 01:02:04,004\na ＜b＞ & c --＞ d\n\n"  # noqa: RUF001
    )


def test_vtt_is_as_browsers_want_it(a_layer: Maker, written: Writer) -> None:
    assert text(written(a_layer(*TALK), "vtt")) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:06.060\n<v Ada>And so, my fellow Americans\n\n"
        "01:02:03.004 --> 01:02:04.004\na &lt;b&gt; &amp; c --&gt; d\n\n"
    )


def test_json_is_as_documented(a_layer: Maker, written: Writer) -> None:
    layer = a_layer(*TALK, language="en", model="tiny.en", duration=3726.0004)
    assert json.loads(text(written(layer, "json"))) == {
        "language": "en",
        "duration": 3726.0,
        "model": "tiny.en",
        "translated": False,
        "timed": True,
        "text": "And so, my fellow Americans a <b> & c --> d",
        "segments": [
            {"start": 0.0, "end": 6.06, "text": "And so, my fellow Americans", "speaker": "Ada"},
            {
                "start": 3723.004,
                "end": 3725.0,
                "text": "a <b> & c --> d",
                "confidence": 0.25,
                "doubtful": True,
                "words": [{"start": 3723.004, "end": 3723.5, "text": "a", "confidence": 0.5}],
            },
        ],
    }


def test_markdown_keeps_what_is_said_as_text(a_layer: Maker, written: Writer) -> None:
    layer = a_layer(Segment(0, 1, "1. not *a* list, # [x](y) <b> | a"), Segment(1, 2, "Yes.", speaker="A*da*"))
    assert said(written(layer, "md", TIMES)) == [
        "[00:00:00] 1. not *a* list, # [x](y) <b> | a",
        "[00:00:01] A*da*: Yes.",
    ]
    assert "**A\\*da\\*:** Yes." in text(written(layer, "md"))


def test_docx_has_paragraphs_with_who_speaks_in_bold(a_layer: Maker, written: Writer) -> None:
    first, second = docx.Document(str(written(a_layer(*TALK), "docx", TIMES))).paragraphs
    assert [(run.text, bool(run.bold)) for run in first.runs if run.text] == [
        ("[00:00:00] ", False),
        ("Ada: ", True),
        ("And so, my fellow Americans", False),
    ]
    assert second.text == "[01:02:03] a <b> & c --> d"


@pytest.mark.parametrize("form", FORMATS)
def test_a_recording_without_speech_gives_files_that_are_empty_and_valid(
    a_layer: Maker, written: Writer, form: Format
) -> None:
    path = written(a_layer(Segment(0, 1, " \n"), duration=11), form)
    match form:
        case "txt" | "srt" | "md":
            assert text(path) == ""
        case "vtt":
            assert text(path) == "WEBVTT\n\n"
            assert read(path) == []
        case "docx":
            assert docx.Document(str(path)).paragraphs == []
        case "json":
            assert json.loads(text(path))["text"] == ""


def test_more_than_a_hundred_hours_are_told_right(a_layer: Maker, written: Writer) -> None:
    layer = a_layer(Segment(123 * 3600, 123 * 3600 + 1, "late"))
    assert "123:00:00,000 --> 123:00:01,000" in text(written(layer, "srt"))
    assert read(written(layer, "vtt")) == [(123 * 3_600_000, 123 * 3_600_000 + 1000, "late")]
    assert text(written(layer, "txt", TIMES)) == "[123:00:00] late\n"


@SAME
@given(chaos())
def test_vtt_loses_nothing(a_layer: Maker, written: Writer, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    found = read(written(layer, "vtt"))
    assert [(start, end, html.unescape(re.sub("^<v [^>]+>", "", told))) for start, end, told in found] == cues_of(layer)
    voices = [re.match("<v ([^>]+)>", told) for _, _, told in found]
    assert [voice and html.unescape(voice[1]) for voice in voices] == [cue.speaker for cue in cues(layer)]


@SAME
@given(chaos())
def test_srt_loses_nothing(a_layer: Maker, written: Writer, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    full = str.maketrans("<>{}\\", "＜＞｛｝＼")  # noqa: RUF001
    told = [(start, end, text.translate(full)) for start, end, text in cues_of(layer)]
    path = written(layer, "srt")
    assert read(path) == told
    subtitles = pysubs2.SSAFile.from_string(text(path), format_="srt")
    assert [(cue.start, cue.end) for cue in subtitles] == [(start, end) for start, end, _ in told]
    ends_in_a_number = re.compile(r"\n *\d+ *\Z")  # this parser takes it for the number of the next cue
    shown = [(cue.plaintext, cue.text) for cue in subtitles]
    assert shown == [
        (ends_in_a_number.sub("", text), ends_in_a_number.sub("", text).replace("\n", r"\N")) for *_, text in told
    ]


@SAME
@given(chaos(), st.booleans())
def test_json_loses_nothing(a_layer: Maker, written: Writer, segments: list[Segment], timed: bool) -> None:
    document = json.loads(text(written(a_layer(*segments, timed=timed), "json")))
    found = [
        Segment(
            told["start"],
            told["end"],
            told["text"],
            tuple(Word(**word) for word in told.get("words", ())),
            told.get("speaker"),
        )
        for told in document["segments"]
    ]
    assert found == segments
    assert document["timed"] == timed
    assert re.sub(r"\s", "", document["text"]) == re.sub(r"\s", "", "".join(told.text for told in segments))


@settings(SAME, max_examples=40)
@given(chaos())
def test_prose_loses_nothing(a_layer: Maker, written: Writer, segments: list[Segment]) -> None:
    layer = a_layer(*segments)
    prose = [(f"{p.speaker}: " if p.speaker else "") + p.text for p in paragraphs(layer)]
    assert text(written(layer, "txt")) == "\n".join(f"{told}\n" for told in prose)
    assert said(written(layer, "md")) == prose
    told = [paragraph.text for paragraph in docx.Document(str(written(layer, "docx"))).paragraphs]
    assert told == [re.sub("[\ufffe\uffff]", "\ufffd", text) for text in prose]


@SAME
@given(talk(texts(anything, 3)))
def test_paragraphs_have_every_word_in_order(a_layer: Maker, segments: list[Segment]) -> None:
    joined = "".join(paragraph.text for paragraph in paragraphs(a_layer(*segments)))
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", "".join(map(fold, (told.text for told in segments))))


def test_paragraphs_end_at_pauses_and_with_sentences_where_they_are_long(a_layer: Maker) -> None:
    sentence = "This is a sentence of some forty letters."
    spoken = [Segment(start, start + 4, sentence) for start in range(0, 80, 4)]
    later = Segment(82, 84, "After a pause.")
    found = [paragraph.text for paragraph in paragraphs(a_layer(*spoken, later))]
    assert found == [" ".join([sentence] * 15), " ".join([sentence] * 5), "After a pause."]


def test_paragraphs_without_sentences_end_all_the_same(a_layer: Maker) -> None:
    found = [paragraph.text for paragraph in paragraphs(a_layer(Segment(0, 900, "word " * 1000)))]
    assert max(map(len, found)) <= 1210
    assert " ".join(found).split() == ["word"] * 1000


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "docx"])
def test_files_grow_while_the_layer_is_read(a_layer: Maker, tmp_path: Path, form: Format) -> None:
    """So that hours of speech need no more memory than minutes."""
    path = tmp_path / "growing"

    @dataclass(frozen=True)
    class Watched(Layer):
        sizes: list[int]

        def segments(self) -> Iterator[Segment]:
            for segment in super().segments():
                self.sizes.append(path.stat().st_size if path.exists() else 0)
                yield segment

    layer = Watched(a_layer(*(Segment(n * 4, n * 4 + 4, f"This is sentence {n}.") for n in range(4000))).path, [])
    FORMATS[form].write(layer, path, Options())
    assert path.stat().st_size - layer.sizes[-1] < 20_000 < layer.sizes[-1]
