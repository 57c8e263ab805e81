"""The joining of parts that overlap, on talk that is made up: every word once."""

from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transcript import Segment, Word
from transcriber.parts import Span
from transcriber.seams import Seam
from transcriber.tokens import tokens

VOCABULARY = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "we",
    "it",
    "is",
    "that",
    "this",
    "was",
    "for",
    "on",
    "you",
    "tape",
    "reel",
    "spool",
    "sound",
    "voice",
    "word",
    "hour",
    "night",
    "morning",
    "river",
    "mountain",
    "window",
    "paper",
    "engine",
    "letter",
    "garden",
    "machine",
    "silver",
    "winter",
    "people",
    "country",
    "answer",
    "question",
    "nothing",
    "every",
]


@dataclass(frozen=True)
class Said:
    start: float
    end: float
    text: str


def talk(random: Random, seconds: float = 40, distinct: bool = False) -> list[Said]:
    said: list[Said] = []
    time = 0.0
    while time < seconds:
        recent = {word.text for word in said[-12:]} if distinct else set()
        text = random.choice([word for word in VOCABULARY if word not in recent])
        end = time + random.uniform(0.12, 0.15 + 0.06 * len(text))
        said.append(Said(round(time, 3), round(end, 3), text))
        time = end + random.choice([0, 0, 0, 0.02, 0.2])
    return said


def heard(
    said: list[Said], span: Span, random: Random, *, jitter: float = 0.0, words: bool = True, punctuated: bool = True
) -> list[Segment]:
    """What a model makes of it: halves of words at the edges, other times, cases and punctuation."""
    inside = [word for word in said if word.end > span.start and word.start < span.end]
    told = []
    for word in inside:
        begun, ended = word.start >= span.start, word.end <= span.end
        text = word.text if begun and ended else _half(word.text, begun)
        start = max(word.start, span.start) + random.uniform(-jitter, jitter)
        end = max(start + 0.05, min(word.end, span.end) + random.uniform(-jitter, jitter))
        told.append(
            Word(start, end, text and random.choice([text, text.title(), f"{text},"] if punctuated else [text]))
        )
    told = [word for word in told if word.text]
    return _segments(told, random, words)


def _half(text: str, begun: bool) -> str:
    half = (len(text) + 1) // 2
    return (text[:half] if begun else text[half:]) + "x"


def _segments(told: list[Word], random: Random, words: bool) -> list[Segment]:
    segments = []
    while told:
        many = random.randint(3, 12)
        group, told = told[:many], told[many:]
        text = " ".join(word.text for word in group)
        segments.append(Segment(group[0].start, max(word.end for word in group), text, tuple(group) if words else ()))
    return segments


def texts(*sides: list[Segment]) -> list[str]:
    whole = " ".join(segment.text for side in sides for segment in side)
    return [word.casefold().strip(",") for word in whole.split()]


def late(segments: list[Segment], seconds: float) -> list[Segment]:
    def moved(piece: Any) -> Any:
        return replace(piece, start=piece.start + seconds, end=piece.end + seconds)

    return [replace(moved(segment), words=tuple(map(moved, segment.words))) for segment in segments]


def joined(
    said: list[Said], cut: float, random: Random, *, timed: bool = True, apart: float = 0.0, **how: Any
) -> list[str]:
    """`apart`: seconds that the second side is late."""
    first, second = Span(start=0, end=cut), Span(start=cut - 2.5, end=100)
    seam = Seam(Span(start=cut - 2.5, end=cut), timed=timed)
    sides = heard(said, first, random, **how), late(heard(said, second, random, **how), apart)
    return texts(*seam.join(*sides))


@given(st.integers(0, 10**9).map(Random), st.floats(10, 30), st.floats(0, 0.2))
def test_no_word_is_lost_or_doubled_where_words_have_times(random: Random, cut: float, jitter: float) -> None:
    said = talk(random)
    assert joined(said, cut, random, jitter=jitter) == [word.text for word in said]


@pytest.mark.parametrize("jitter", [0.0, 0.2])
@pytest.mark.parametrize("apart", [-0.7, -0.5, -0.3, 0.3, 0.5, 0.7])
def test_nor_where_one_model_is_always_late(apart: float, jitter: float) -> None:
    for seed in range(50):
        said = talk(random := Random(seed))
        whole = joined(said, random.uniform(10, 30), random, jitter=jitter, apart=apart)
        assert whole == [word.text for word in said], f"seed {seed}"


@given(st.integers(0, 10**9).map(Random), st.floats(10, 30))
def test_nor_where_only_sentences_have_times(random: Random, cut: float) -> None:
    said = talk(random, distinct=True)
    assert joined(said, cut, random, jitter=0.1, words=False) == [word.text for word in said]


@given(st.integers(0, 10**9).map(Random), st.floats(10, 30))
def test_nor_where_nothing_has_times(random: Random, cut: float) -> None:
    said = talk(random, distinct=True)
    assert joined(said, cut, random, timed=False, words=False) == [word.text for word in said]


OVERLAP = Span(start=10, end=12.5)


def segment(start: float, *words: str, gap: float = 0.3) -> Segment:
    told = tuple(Word(start + gap * place, start + gap * (place + 1), text) for place, text in enumerate(words))
    return Segment(start, told[-1].end, " ".join(words), told)


def said_of(left: list[Segment], right: list[Segment], timed: bool = True) -> str:
    return " ".join(texts(*Seam(OVERLAP, timed=timed).join(left, right)))


def test_a_word_said_three_times_is_there_three_times() -> None:
    left = [segment(11, "very", "very", "ve")]
    right = [segment(11.35, "very", "very", "good")]
    assert said_of(left, right) == "very very very good"


def test_what_only_one_side_heard_stays() -> None:
    assert said_of([], [segment(10.5, "hello", "world")]) == "hello world"
    assert said_of([segment(10.5, "hello", "world")], [segment(14, "again")]) == "hello world again"


def test_where_each_side_heard_other_words_both_are_used_for_their_half() -> None:
    left = [segment(10.2, "colour", "television", "sit")]
    right = [segment(10.25, "culler", "tele", "vision", "set", "today", gap=0.6)]
    assert said_of(left, right) == "colour television sit vision set today"


def timed(*words: tuple[float, float, str]) -> Segment:
    told = tuple(Word(*word) for word in words)
    return Segment(told[0].start, told[-1].end, " ".join(word.text for word in told), told)


def test_one_word_in_common_is_enough_where_it_has_times() -> None:
    left = [timed((10, 10.3, "fellow"), (10.3, 10.9, "Americans"), (11.25, 11.5, "ask"))]
    right = [timed((10, 10.6, "American"), (10.95, 11.2, "ask"), (12.4, 13.3, "not"))]
    assert said_of(left, right) == "fellow americans ask not"


def test_neither_side_is_used_near_its_edge() -> None:
    left = [timed((9.8, 10.2, "can"), (10.3, 10.8, "do"), (11, 11.4, "for"), (12, 12.5, "you."))]
    right = [timed((10, 10.8, "Do"), (11, 11.4, "for"), (12, 12.5, "you"), (12.6, 12.9, "all"))]
    assert said_of(left, right) == "can do for you all"


def test_neighbours_are_not_taken_for_one_word() -> None:
    left = [timed((10.5, 11.2, "Americans"), (11.2, 12.4, "asked"))]
    right = [timed((10.9, 12.4, "ask"), (12.4, 13.3, "not"))]
    assert said_of(left, right) == "americans ask not"


def test_marks_before_a_word_go_with_it() -> None:
    words = Word(1, 2, "He"), Word(2, 3, "said"), Word(3, 4, "so")
    assert [token.text for token in tokens([Segment(1, 4, "He said “so”", words)])] == ["He ", "said ", "“so”"]


def test_a_word_in_the_middle_that_each_side_heard_otherwise_is_there_once() -> None:
    for left, right in ((11.0, 11.15), (11.15, 11.0)):
        assert len(said_of([segment(left, "color")], [segment(right, "colour")]).split()) == 1


def test_texts_that_share_only_a_word_by_chance_are_both_kept_whole() -> None:
    left, right = [Segment(0, 12.5, "we saw the dog")], [Segment(10, 30, "the cat ran off")]
    assert said_of(left, right, timed=False) == "we saw the dog the cat ran off"


def test_chinese_is_joined_by_characters() -> None:
    left, right = [Segment(0, 12.5, "今天天气很好我们去公")], [Segment(10, 20, "我们去公园散步。")]
    assert said_of(left, right, timed=False).replace(" ", "") == "今天天气很好我们去公园散步。"


def test_what_stays_of_a_segment_keeps_its_text_as_it_was_written() -> None:
    words = [Word(9.5, 9.9, "Yes"), Word(10, 10.4, "he"), Word(11, 11.4, "said"), Word(12, 12.4, "so")]
    left = [Segment(9.5, 12.4, "“Yes,” he said; so", tuple(words))]
    right = [segment(10.0, "he", "x", "y", "said", "so", "there")]
    kept, _ = Seam(OVERLAP).join(left, right)
    assert kept[0].text == "“Yes,” he said;"
    assert (kept[0].start, kept[0].end) == (9.5, 11.4)
    assert kept[0].words == tuple(words[:3])


@pytest.mark.parametrize("side", [0, 1])
def test_segments_far_from_the_seam_are_left_alone(side: int) -> None:
    far = Segment(1, 2, "Far  from it"), Segment(50, 51, "Far  from it")
    both = [[far[0], segment(10.1, "one", "two", "three")], [segment(10.1, "one", "two", "three", "four"), far[1]]]
    assert Seam(OVERLAP).join(*both)[side][-side] is far[side]
