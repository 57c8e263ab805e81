"""What is made of files as people's editors write them."""

from pathlib import Path

import pytest

from pipeline.correction import LONGEST_BODY, MOST_SEGMENTS
from pipeline.errors import Reject
from pipeline.transcript import About, Layer, Segment, Word, write_layer
from sync.edits.edited import edited
from sync.edits.subtitle_files import Cue, read

ADA = tuple(
    Word(at, at + 0.5, text, 0.9) for at, text in enumerate(["My", "name", "is", "Ada", "and", "I", "eat", "clover."])
)
SAID = [
    Segment(0, 8, "My name is Ada and I eat clover.", ADA, "Ada", 0.8),
    Segment(9, 11, "So do I.", speaker="Bob"),
]
SRT = """1
00:00:00,000 --> 00:00:03,900
My name is Ada

2
00:00:04,000 --> 00:00:08,000
and I eat clover.

3
00:00:09,000 --> 00:00:11,000
So do I.

"""
VTT = """WEBVTT

00:00:00.000 --> 00:00:03.900
<v Ada>My name is Ada

00:00:04.000 --> 00:00:08.000
<v Ada>and I eat clover.

00:00:09.000 --> 00:00:11.000
<v Bob>So do I.

"""
TXT = "Ada: My name is Ada and I eat clover.\n\nBob: So do I.\n"
WRITTEN = {"srt": SRT, "vtt": VTT, "txt": TXT}


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    write_layer(tmp_path / "layer", About(12), SAID)
    return Layer(tmp_path / "layer")


def came_back(layer: Layer, kind: str, content: str | bytes) -> list[Segment] | None:
    data = content if isinstance(content, bytes) else content.encode()
    return edited(f"talk.{kind}", data, WRITTEN[kind].encode(), layer)


def changed(layer: Layer, kind: str, *changes: tuple[str, str]) -> list[Segment]:
    text = WRITTEN[kind]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    made = came_back(layer, kind, text)
    assert made is not None
    return made


def told(segments: list[Segment]) -> list[tuple[float, float, str, str | None]]:
    return [(segment.start, segment.end, segment.text, segment.speaker) for segment in segments]


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_word_is_changed_where_it_stands(layer: Layer, kind: str) -> None:
    made = changed(layer, kind, ("name is Ada", "name is Eda"))
    assert told(made) == [(0, 8, "My name is Eda and I eat clover.", "Ada"), (9, 11, "So do I.", "Bob")]
    assert [(word.start, word.text) for word in made[0].words] == [
        (at, "Eda" if at == 3 else word.text) for at, word in enumerate(ADA)
    ]
    assert made[0].confidence is None
    assert made[1] == SAID[1]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_times_that_an_editor_rounded_are_the_same(layer: Layer, kind: str) -> None:
    made = changed(layer, kind, (":03,900" if kind == "srt" else ":03.900", ":03.895"), ("clover", "grass"))
    assert told(made) == [(0, 8, "My name is Ada and I eat grass.", "Ada"), (9, 11, "So do I.", "Bob")]


def test_a_cue_at_another_time_is_a_segment_and_cuts_what_it_was_in(layer: Layer) -> None:
    made = changed(layer, "srt", ("00:00:04,000 -->", "00:00:05,000 -->"))
    assert told(made) == [(0, 4, "My name is Ada", "Ada"), (5, 8, "and I eat clover.", "Ada"), SAID_BY_BOB]
    assert made[0].words == ADA[:4]
    assert [(word.start, word.text) for word in made[1].words] == [(5, "and I"), (6, "eat"), (7, "clover.")]


SAID_BY_BOB = (9, 11, "So do I.", "Bob")


def test_cues_are_split_joined_and_put_in(layer: Layer) -> None:
    split = ("00:00:08,000\nand I eat", "00:00:05,900\nand I\n\n00:00:06,000 --> 00:00:08,000\neat")
    assert told(changed(layer, "srt", split)) == [
        (0, 4, "My name is Ada", "Ada"),
        (4, 5.9, "and I", "Ada"),
        (6, 8, "eat clover.", "Ada"),
        SAID_BY_BOB,
    ]
    joined = ("00:00:03,900\nMy name is Ada\n\n2\n00:00:04,000 --> ", ""), ("clover.", "clover, am Ada.")
    assert told(changed(layer, "srt", *joined)) == [(0, 8, "and I eat clover, am Ada.", "Ada"), SAID_BY_BOB]
    behind = ("So do I.", "So do I.\n\n4\n00:00:11,200 --> 00:00:12,000\nGood bye.")
    assert told(changed(layer, "srt", behind)) == [*told(SAID), (11.2, 12, "Good bye.", None)]


def test_a_cue_that_was_taken_out_is_gone(layer: Layer) -> None:
    assert told(changed(layer, "srt", ("\n\n3\n00:00:09,000 --> 00:00:11,000\nSo do I.", ""))) == told(SAID)[:1]
    assert told(changed(layer, "srt", ("My name is Ada", ""))) == [(4, 8, "and I eat clover.", "Ada"), SAID_BY_BOB]


def test_who_speaks_in_a_part_of_a_segment_gets_a_segment(layer: Layer) -> None:
    made = changed(layer, "vtt", ("<v Ada>and", "<v Eve &amp; Co>and"), ("<v Bob>", ""))
    assert told(made) == [
        (0, 4, "My name is Ada", "Ada"),
        (4, 8, "and I eat clover.", "Eve & Co"),
        (9, 11, "So do I.", None),
    ]
    assert made[0].words + made[1].words == ADA


def test_two_voices_in_a_cue_share_its_time(layer: Layer) -> None:
    made = changed(layer, "vtt", ("<v Bob>So do I.", "<v Bob>So do I</v> <v Eve>Me too."))
    assert told(made)[1:] == [(9, 10, "So do I", "Bob"), (10, 11, "Me too.", "Eve")]


def test_people_who_talk_at_once_keep_what_they_say(tmp_path: Path) -> None:
    said = [Segment(0, 10, "I think so. Yes sir.", speaker="Ada"), Segment(4, 5, "Yes", speaker="Bob")]
    write_layer(tmp_path / "layer", About(12), said)
    cues = [("0,000", "3,000", "I think so."), ("4,000", "5,000", "Yes"), ("6,000", "9,000", "Yes sir.")]
    file = "".join(f"1\n00:00:0{start} --> 00:00:0{end}\n{text}\n\n" for start, end, text in cues)
    made = edited("a.srt", file.replace("sir", "Sir").encode(), file.encode(), Layer(tmp_path / "layer"))
    assert made == [Segment(0, 10, "I think so. Yes Sir.", speaker="Ada"), said[1]]


def test_a_file_of_another_transcript_is_taken_as_it_is(layer: Layer) -> None:
    other = SRT.replace("clover", "carrots")
    made = edited("a.srt", other.replace("Ada", "Eda").encode(), other.encode(), layer)
    assert made is not None
    assert told(made) == [(0, 3.9, "My name is Eda", "Ada"), (4, 8, "and I eat carrots.", "Ada"), SAID_BY_BOB]
    text = TXT.replace("clover", "carrots")
    made = edited("a.txt", text.replace("is Ada", "is Eda").encode(), text.encode(), layer)
    assert made is not None
    assert told(made) == [(0, 8, "My name is Eda and I eat carrots.", "Ada"), SAID_BY_BOB]


def test_a_line_of_text_in_lines_of_an_editor(layer: Layer) -> None:
    made = changed(layer, "txt", ("Ada and I eat", "Ada\r\nand\tI\x00 do eat"), ("\n\nBob", "\nBob"))
    assert told(made) == [(0, 8, "My name is Ada and I do eat clover.", "Ada"), SAID_BY_BOB]


def test_words_go_to_who_says_them(layer: Layer) -> None:
    made = changed(layer, "txt", ("Ada and I eat clover.", "Ada\n\nBob: and I eat clover."))
    assert told(made) == [(0, 4, "My name is Ada", "Ada"), (4, 8, "and I eat clover.", "Bob"), SAID_BY_BOB]


@pytest.mark.parametrize("kind", WRITTEN)
def test_text_as_editors_save_it(layer: Layer, kind: str) -> None:
    text = WRITTEN[kind].replace("is Ada", "is Adä")
    wanted = changed(layer, kind, ("is Ada", "is Adä"))
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert came_back(layer, kind, text.replace("\n", "\r\n").encode(encoding)) == wanted
    assert came_back(layer, kind, WRITTEN[kind].replace("\n", "\r").encode("utf-16")) is None


CLOCKED = "00:00:09,000 --> 00:00:11,000"


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("srt", "", "The edited file has no subtitles in it."),
        ("srt", "My name is Ada", "The edited file has no subtitles in it."),
        ("srt", f"1\n{CLOCKED}\n<i> </i>\n", "The edited file has no subtitles in it."),
        ("vtt", "WEBVTT\n\nNOTE nothing\n", "The edited file has no subtitles in it."),
        ("txt", " \n\n", "The edited file has no text left in it."),
        ("txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "The edited file is not text."),
        ("txt", b"\x81\x8d", "The edited file cannot be read as text; save it as UTF-8."),
        ("txt", b"a" * (LONGEST_BODY // 8 + 1), "The edited file is larger than 4 MiB."),
        ("txt", TXT.replace("eat", "eat " * 3000), "A piece of the text that begins with “My name is Ada and I eat eat eat eat eat” is longer than 10000 characters."),
        ("srt", SRT.replace(CLOCKED, "00:00:09,000 --> 00:00:08,000"), "The subtitle at 00:00:09 ends before it begins."),
        ("srt", SRT.replace(CLOCKED, "100:00:09,000 --> 100:00:11,000"), "The subtitle at 100:00:09 ends behind the recording, which lasts 12 seconds."),
        ("srt", SRT.replace(CLOCKED, "00:0x:09,000 --> 00:00:11"), "The edited file has a subtitle with times that cannot be read: 00:0x:09,000 --> 00:00:11"),
        ("vtt", VTT.replace("09.000", "09,000"), "The edited file has a subtitle with times that cannot be read."),
        ("vtt", VTT.replace("So do", "So do" * 3000), "The subtitle at 00:00:09 is longer than 10000 characters."),
        ("vtt", VTT.replace("Bob", "Bob" * 50), "The name of the speaker at 00:00:09 is longer than 100 characters."),
        ("srt", SRT + f"1\n{CLOCKED}\nx\n\n" * MOST_SEGMENTS, "The edited file would make more than 50000 segments."),
    ],
)  # fmt: skip
def test_what_cannot_be_a_transcript_is_refused(layer: Layer, kind: str, content: str | bytes, reason: str) -> None:
    with pytest.raises(Reject) as refused:
        came_back(layer, kind, content)
    assert refused.value.reason == reason


def test_letters_of_another_code_page_are_not_guessed(tmp_path: Path) -> None:
    write_layer(tmp_path / "layer", About(12), [Segment(0, 5, "Кролики")])
    with pytest.raises(Reject, match="save it as UTF-8"):
        edited("a.txt", "Кролик\n".encode("cp1251"), "Кролики\n".encode(), Layer(tmp_path / "layer"))


def test_a_transcript_in_which_nothing_is_said_takes_what_is_written(tmp_path: Path) -> None:
    write_layer(tmp_path / "layer", About(12), [])
    layer = Layer(tmp_path / "layer")
    assert edited("a.srt", SRT.encode(), b"", layer) == [
        Segment(0, 3.9, "My name is Ada"),
        Segment(4, 8, "and I eat clover."),
        Segment(9, 11, "So do I."),
    ]
    assert edited("a.txt", b"Hares.\n\nAnd rabbits.\n", b"", layer) == [Segment(0, 12, "Hares. And rabbits.")]
    assert edited("a.vtt", b"WEBVTT\n", b"WEBVTT\n\n", layer) is None


def test_subrip_of_all_kinds_of_editors() -> None:
    text = r"""
1
0:00:01,5 --> 00:00:02.000 X1:0 X2:9
<i>Run</i> {\an8}to C:\New <b>now</b>
<font color="red">or {never} 3 < 4</font>

still of it

1984

00:00:03,000 --> 00:00:04,000
without a number
3
123:00:05,000 --> 123:00:06,000
hours
4
00:00:07,000 --> 00:00:08,000

"""
    assert [(cue.start // 1000, cue.text) for cue in read("srt", text)] == [
        (1, r"Run to C:\New now or {never} 3 < 4 still of it 1984"),
        (3, "without a number"),
        (123 * 3600 + 5, "hours"),
    ]


def test_webvtt_of_all_kinds_of_editors() -> None:
    text = r"""WEBVTT Kind: captions

NOTE no speech

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.000 align:start position:10%
<v.loud Ann &amp; Bob>Say &lt;b&gt; <i>to</i> <00:01.500><c.x>them</c>, AT&T {x} C:\New
<v Ann &amp; Bob>and &amp;lt;

123:00:03.000 --> 123:00:04.000
3 < 4&nbsp;&gt; 2
"""
    assert read("vtt", text) == [
        Cue(1000, 2000, r"Say <b> to them, AT&T {x} C:\New and &lt;", "Ann & Bob"),
        Cue(123 * 3600_000 + 3000, 123 * 3600_000 + 4000, "3 < 4 > 2"),
    ]
