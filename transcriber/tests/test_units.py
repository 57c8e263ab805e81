"""The pieces of text, and when each is said."""

# ruff: noqa: RUF001
import pytest
from hypothesis import given

from pipeline.transcript import Segment, Word, fold
from transcriber.tests.speech import chaos
from transcriber.units import text_of, units


def times(text: str, *words: tuple[float, float, str], start: float = 0, end: float = 10) -> list[tuple[str, int, int]]:
    told = tuple(Word(*word) for word in words)
    return [(unit.text, unit.start, unit.end) for unit in units([Segment(start, end, text, told)])]


def test_without_words_time_is_shared_out_by_letters() -> None:
    assert times("Hello, wide world.", end=14) == [("Hello,", 0, 5000), ("wide", 5000, 9000), ("world.", 9000, 14000)]


def test_words_tell_the_time_and_the_text_has_the_punctuation() -> None:
    assert times("“Hello, world.”", (1, 1.5, "hello"), (3, 4, "world")) == [
        ("“Hello,", 1000, 1500),
        ("world.”", 3000, 4000),
    ]


def test_words_that_are_parts_of_a_word_are_put_together() -> None:
    assert times("Well-known fact", (1, 2, " Well"), (2, 3, "-known"), (5, 6, " fact")) == [
        ("Well-known", 1000, 3000),
        ("fact", 5000, 6000),
    ]


def test_a_corrected_word_has_the_time_of_what_stood_there() -> None:
    told = (1, 2, "Ask"), (3, 4, "nought"), (5, 6, "what")
    assert times("Ask not what", *told) == [("Ask", 1000, 2000), ("not", 3000, 4000), ("what", 5000, 6000)]


def test_a_word_that_was_put_in_is_said_between_its_neighbours() -> None:
    first, added, last = times("one and two", (1, 2, "one"), (3, 4, "two"))
    assert (first, last) == (("one", 1000, 2000), ("two", 3000, 4000))
    assert 2000 <= added[1] <= added[2] <= 3000


def test_times_of_words_stay_within_their_segment() -> None:
    assert times("one two", (0, 5, "one"), (5, 20, "two"), start=1, end=10) == [
        ("one", 1000, 5000),
        ("two", 5000, 10000),
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Vous voulez quoi ? Rien !", ["Vous", "voulez", "quoi\xa0?", "Rien\xa0!"]),
        ("Il dit « oui »", ["Il", "dit", "«\xa0oui\xa0»"]),
        ("「これは、」と", ["「こ", "れ", "は、」", "と"]),
        ("ちょっと待って！", ["ちょっ", "と", "待っ", "て！"]),
        ("สวัสดีครับ", ["สวัสดี", "ครับ"]),
        ("안녕하세요, 오늘은", ["안녕하세요,", "오늘은"]),
        ("see https://example.org/a?b=c now", ["see", "https://example.org/a?b=c", "now"]),
    ],
)
def test_text_is_broken_where_its_script_may_be(text: str, pieces: list[str]) -> None:
    assert [unit.text for unit in units([Segment(0, 1, text)])] == pieces


def test_words_are_told_from_parts_of_words_where_there_are_no_spaces() -> None:
    told = "".join(unit.text + "/" * unit.whole for unit in units([Segment(0, 1, "字幕を読みやすいところで")]))
    assert told == "字幕を/読み/やすいところで/"


def test_segments_are_put_together_with_a_space_where_their_script_has_one() -> None:
    assert text_of(list(units([Segment(0, 1, "One"), Segment(1, 2, "two")]))) == "One two"
    assert text_of(list(units([Segment(0, 1, "今日は。"), Segment(1, 2, "話す")]))) == "今日は。話す"


@given(chaos())
def test_no_text_is_lost_and_times_stay_within_their_segment(segments: list[Segment]) -> None:
    for segment in segments:
        found = list(units([segment]))
        assert (text_of(found) if found else "").replace("\xa0", " ") == fold(segment.text)
        clock = [time for unit in found for time in (unit.start, unit.end)]
        assert clock == sorted(clock)
        assert all(round(segment.start * 1000) <= time <= round(segment.end * 1000) for time in clock)
