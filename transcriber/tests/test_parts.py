"""From the time of a part's audio to the time of the recording, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.parts import MARGIN, Clock, Part, Span

LATER = Part(part=0, spans=(Span(start=10, end=20), Span(start=3600, end=3610), Span(start=7000, end=7001.5)))


@st.composite
def parts(draw: st.DrawFn) -> Part:
    spans, time = [], draw(st.integers(0, 100)) / 10
    for length, gap in draw(st.lists(st.tuples(st.integers(21, 400), st.integers(21, 90_000)), min_size=1, max_size=8)):
        spans.append(Span(start=round(time, 3), end=round(time + length * 0.05, 3)))
        time += (length + gap) * 0.05
    return Part(part=0, spans=tuple(spans))


@given(parts(), st.data())
def test_what_is_said_between_silences_is_found_where_it_was_said(part: Part, data: st.DataObject) -> None:
    span = data.draw(st.sampled_from(part.spans))
    inside = st.floats(span.start + MARGIN + 0.01, span.end - MARGIN - 0.01)
    start, end = sorted([data.draw(inside), data.draw(inside)])
    assert part.recorded(part.heard(start), part.heard(end)) == pytest.approx((start, end), abs=0.002)


@given(parts(), st.floats(0, 200), st.floats(0, 30))
def test_times_are_in_order_and_in_the_part_whatever_a_model_says(part: Part, start: float, length: float) -> None:
    begun, ended = part.recorded(start, start + length)
    assert part.spans[0].start <= begun <= ended <= part.spans[-1].end
    assert any(span.start <= begun <= span.end for span in part.spans)


def test_a_word_that_a_model_hears_early_does_not_begin_before_the_silence() -> None:
    assert LATER.recorded(9.8, 10.9) == (3600, 3600.9)


def test_a_word_that_a_model_lets_last_does_not_end_after_the_silence() -> None:
    assert LATER.recorded(9.0, 10.3) == (19, 20)


def test_a_word_in_nothing_but_silence_stays_on_its_side() -> None:
    assert LATER.recorded(9.8, 10.1) == (19.8, 20)
    assert LATER.recorded(9.9, 10.3) == (3600, 3600.3)


def test_a_sentence_may_last_through_a_silence() -> None:
    assert LATER.recorded(5, 15) == (15, 3605)


def test_what_is_left_out_is_where_the_audio_goes_on() -> None:
    assert LATER.heard(1000) == LATER.heard(3600) == 10
    assert (LATER.heard(0), LATER.heard(9999)) == (0, LATER.seconds)


SPANS = (Span(start=1.1, end=4.4), Span(start=10, end=12), Span(start=12.5, end=20))


@pytest.mark.parametrize(
    ("heard", "was"),
    [
        ((0, 1), (1.1, 2.1)),
        ((1, 3.3), (2.1, 4.4)),
        ((3.3, 5.3), (10, 12)),
        ((3.2, 5.4), (4.3, 12.6)),
        ((5.3, 12.8), (12.5, 20)),
        ((-1, 99), (1.1, 20)),
        ((98, 99), (20, 20)),
        ((3.4, 3.4), (10.1, 10.1)),
    ],
)
def test_what_was_heard_in_an_excerpt_was_said_elsewhere(heard: tuple[float, float], was: tuple[float, float]) -> None:
    assert Clock(SPANS).placed(*heard) == pytest.approx(was)


@pytest.mark.parametrize(
    ("heard", "was"),
    [
        ((0, 3.3), (1.1, 4.4)),
        ((3.7, 3.8), (4.4, 4.4)),
        ((3.9, 4.4), (10, 10.1)),
        ((3, 5), (4.1, 10.7)),
        ((4.3, 6.3), (10, 12)),
        ((7.3, 99), (12.5, 20)),
    ],
)
def test_silence_between_spans_counts(heard: tuple[float, float], was: tuple[float, float]) -> None:
    assert Clock(SPANS, 0.5, gap=1).placed(*heard) == pytest.approx(was)


def test_the_audio_is_as_long_as_its_spans_and_what_is_between_them() -> None:
    assert Clock(SPANS).seconds == pytest.approx(12.8)
    assert Clock(SPANS, gap=1).seconds == pytest.approx(14.8)
    assert Clock(SPANS, gap=1).heard(11) == pytest.approx(5.3)


def test_audio_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Clock(())


millis = st.integers(10, 20_000)


@given(st.lists(st.tuples(millis, millis), min_size=1, max_size=20), st.integers(0, 400_000))
def test_every_time_lies_in_a_span_and_what_is_said_keeps_its_order(gaps: list[tuple[int, int]], milli: int) -> None:
    spans, at = [], 0
    for gap, length in gaps:
        spans.append(Span(start=(at + gap) / 1000, end=(at + gap + length) / 1000))
        at += gap + length
    clock = Clock(spans)
    begins, ends = clock.placed(milli / 1000, (milli + 700) / 1000)
    later, _ = clock.placed((milli + 5) / 1000, 999)
    for time in (begins, ends, later):
        assert any(span.start <= time <= span.end for span in spans)
    assert begins <= ends
    assert begins <= later
