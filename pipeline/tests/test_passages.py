"""The pieces of a transcript that search finds it by."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.transcript import PASSAGE_CHARACTERS, PASSAGE_SECONDS, Segment, fold, passages
from pipeline.work import Passage

times = st.integers(0, 10**6).map(lambda time: time / 1000)
pieces = st.lists(st.builds(Segment, times, times, st.text(max_size=500)), max_size=20)


def test_sentences_are_put_together_until_they_are_half_a_minute() -> None:
    sentences = [Segment(start, start + 7, f"This begins at {start}.") for start in range(0, 70, 7)]
    assert [(found.start, found.end) for found in passages(sentences)] == [(0, 28), (28, 56), (56, 70)]
    assert next(passages(sentences)).text.startswith("This begins at 0. This begins at 7. ")


def test_or_until_they_are_as_long_as_a_hit_may_be() -> None:
    sentences = [Segment(start, start + 1, "x" * 140) for start in range(5)]
    assert [len(found.text) for found in passages(sentences)] == [281, 281, 140]


def test_minutes_of_text_in_one_segment_are_broken_between_words_and_share_its_time() -> None:
    found = list(passages([Segment(60, 660, "word " * 1200)]))
    assert all(set(passage.text.split()) == {"word"} for passage in found)
    assert [(first.end, first.start < second.start) for first, second in pairwise(found)] == [
        (second.start, True) for second in found[1:]
    ]
    assert (found[0].start, found[-1].end) == (60, 660)


def test_scripts_without_spaces_get_none() -> None:
    assert list(passages([Segment(0, 1, "今日は。"), Segment(1, 2, "话す。"), Segment(2, 3, "OK")])) == [
        Passage(0, 3, "今日は。话す。 OK")
    ]


def test_where_nothing_is_said_there_are_none() -> None:
    assert list(passages([Segment(0, 5, " \n\x00")])) == []


@given(pieces)
def test_nothing_is_lost_and_no_passage_is_too_long(segments: list[Segment]) -> None:
    found = list(passages(segments))
    told = "".join(passage.text for passage in found)
    assert re.sub(r"\s", "", told) == re.sub(r"\s", "", "".join(fold(segment.text) for segment in segments))
    assert all(0 < len(passage.text) <= PASSAGE_CHARACTERS for passage in found)


@given(st.lists(st.tuples(st.floats(0.1, 20), st.text("ab ", min_size=1, max_size=80)), max_size=20))
def test_no_passage_is_longer_than_it_may_be(said: list[tuple[float, str]]) -> None:
    clock, segments = 0.0, []
    for length, text in said:
        segments.append(Segment(clock, clock + length, text))
        clock += length
    assert all(found.end - found.start <= PASSAGE_SECONDS + 0.01 for found in passages(segments))
