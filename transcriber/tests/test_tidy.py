"""What comes of whatever models answer."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.transcript import Segment, Word
from transcriber.parts import Part, Span
from transcriber.tidy import chained, tidy

PART = Part(part=0, spans=(Span(start=100, end=130), Span(start=700, end=720)))

times = st.floats(90, 730).map(lambda time: round(time, 3))
texts = st.sampled_from(["Hello", "and so on", " ", "", "a\nb", "1,000 times"])


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    words = draw(st.lists(st.builds(Word, times, times, st.sampled_from(["Hello", "so"])), max_size=3))
    speaker = draw(st.sampled_from([None, "A", "B"]))
    return Segment(draw(times), draw(times), draw(texts), tuple(words), speaker)


@given(st.lists(segments(), max_size=20))
def test_nothing_is_empty_out_of_order_or_over_another_of_its_speaker(given_segments: list[Segment]) -> None:
    kept = list(chained(tidy(given_segments, PART)))
    assert [segment.start for segment in kept] == sorted(segment.start for segment in kept)
    for segment in kept:
        assert segment.text
        assert segment.end > segment.start >= 100
        assert segment.end <= 720.1, "only what begins at the end is a millisecond longer"
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(segment.start <= time <= segment.end for time in times)
    for speaker in (None, "A", "B"):
        own = [segment for segment in kept if segment.speaker == speaker]
        assert all(before.end <= after.start for before, after in pairwise(own))


@given(st.lists(segments(), max_size=20))
def test_no_word_of_the_text_is_lost(given_segments: list[Segment]) -> None:
    kept = tidy(given_segments, PART)
    said = sorted(word for segment in given_segments for word in segment.text.split())
    assert sorted(word for segment in kept for word in segment.text.split()) == said


def test_of_two_that_overlap_the_first_ends_where_the_second_begins() -> None:
    kept = tidy([Segment(101, 109, "one"), Segment(105, 107, "two")], PART)
    assert [(segment.start, segment.end) for segment in kept] == [(101, 105), (105, 107)]


def test_two_speakers_may_speak_at_once() -> None:
    kept = tidy([Segment(101, 109, "one", speaker="A"), Segment(105, 107, "two", speaker="B")], PART)
    assert [(segment.start, segment.end) for segment in kept] == [(101, 109), (105, 107)]


def test_a_sentence_does_not_last_through_a_silence_that_was_left_out() -> None:
    first, second = tidy([Segment(120, 710, "Ten of these words are before it, and ten behind it.")], PART)
    assert (first.start, second.end) == (120, 710)
    assert first.end <= 130
    assert second.start >= 700
    assert f"{first.text} {second.text}" == "Ten of these words are before it, and ten behind it."


def test_words_that_a_model_timed_keep_their_sentence_together() -> None:
    words = (Word(128, 129, "Before"), Word(701, 702, "after."))
    assert tidy([Segment(128, 702, "Before after.", words)], PART) == [Segment(128, 702, "Before after.", words)]


def test_where_parts_meet_what_comes_later_waits() -> None:
    kept = list(chained([Segment(1, 5, "one"), Segment(4, 6, "two"), Segment(5, 5.5, "three", speaker="A")]))
    assert [(segment.start, segment.end) for segment in kept] == [(1, 5), (5, 6), (5, 5.5)]
