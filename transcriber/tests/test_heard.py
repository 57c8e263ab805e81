"""Which words of an answer belong to which of its segments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.answer import Answer
from transcriber.heard import Heard, heard
from transcriber.parts import Part, Span
from transcriber.seams import Seam
from transcriber.tidy import tidy

Spoken = tuple[float, float, str]
TREE = "me and then we sat down near a tree."
COLD = "It was cold outside."


def spoken(text: str, pace: float = 0.4) -> list[Spoken]:
    """As services tell words: without marks."""
    return [(round(n * pace, 3), round(n * pace + pace, 3), word.strip(",.!?")) for n, word in enumerate(text.split())]


def answered(segments: list[Spoken], words: list[Spoken], seconds: float = 60) -> list[Heard]:
    told: dict[str, Any] = {
        "text": "",
        "segments": [{"start": start, "end": end, "text": text} for start, end, text in segments],
        "words": [{"start": start, "end": end, "word": word} for start, end, word in words],
    }
    return heard(Answer.model_validate(told), seconds)


def shared(segments: list[Spoken], words: list[Spoken]) -> list[str]:
    return [" ".join(word.text for word in piece.words) for piece in answered(segments, words)]


@pytest.mark.parametrize("second", [0.3, 2.0, 3.6, 4.4, 5.1])
def test_words_belong_to_the_segment_whose_text_they_spell_whenever_it_is_said_to_begin(second: float) -> None:
    words = spoken(f"{TREE} {COLD}")
    pieces = answered([(0, second, TREE), (second, 5.2, COLD)], words)
    assert [[word.text for word in piece.words] for piece in pieces] == [
        ["me", "and", "then", "we", "sat", "down", "near", "a", "tree"],
        ["It", "was", "cold", "outside"],
    ]
    assert pieces[1].start >= pieces[0].words[-1].end, "or the words before would be cut off where it begins"


def test_a_mark_or_a_letter_case_is_no_other_text() -> None:
    segments = [(0.0, 3.0, "“Well-known — he said;"), (1.0, 5.0, "THE don't…")]
    words = [(0.0, 0.4, " well"), (0.4, 0.8, "-known"), (0.8, 0.9, "—"), (1.2, 1.6, "He"), (1.6, 2.0, "said")]
    assert shared(segments, [*words, (2.0, 2.4, "the"), (2.4, 2.8, "don\u2019t")]) == [
        "well -known — He said",
        "the don\u2019t",
    ]


def test_where_words_are_other_ones_time_tells_and_after_that_the_texts_again() -> None:
    segments = [(0.0, 2.0, "It costs $5 today."), (2.0, 3.0, TREE), (9.0, 20.0, COLD)]
    words = spoken(f"It costs five dollars today. {TREE} {COLD}", 0.45)
    assert shared(segments, words) == [
        "It costs five dollars today",
        "me and then we sat down near a tree",
        "It was cold outside",
    ]


def test_where_nothing_is_spelt_time_tells() -> None:
    segments = [(0.0, 2.0, "one"), (2.0, 4.0, "and"), (4.0, 6.0, "two")]
    words = [(0.0, 1.0, "uno"), (2.5, 3.0, "due"), (3.8, 4.4, "tre"), (7.0, 8.0, "quattro")]
    assert shared(segments, words) == ["uno", "due", "tre quattro"]


def test_no_word_is_doubled_at_a_seam_in_a_segment_that_begins_too_late() -> None:
    words = spoken(f"{TREE} {COLD}")
    left, right = Part(part=0, spans=(Span(start=0, end=98),)), Part(part=1, spans=(Span(start=95.2, end=200),))
    last = answered([(95.2, 98, "me and then we sat down ne")], [(s + 95.2, e + 95.2, w) for s, e, w in words[:6]], 98)
    first = answered([(0, 4.6, TREE), (4.6, 6, COLD)], words)
    sides = [
        tidy([piece.at(part.recorded).segment() for piece in side], part)
        for part, side in ((left, last), (right, first))
    ]
    kept = [segment.text for side in Seam(Span(start=95.2, end=98)).join(*sides) for segment in side]
    assert " ".join(kept).split() == f"{TREE} {COLD}".split()


texts = st.lists(st.sampled_from(["na", "Na na", "no, no!", "♪", "ja", "na-na"]), min_size=1, max_size=8)


@given(texts, st.lists(st.floats(0, 20), min_size=8, max_size=8))
def test_words_that_spell_the_texts_are_shared_out_as_they_are_written(lines: list[str], starts: list[float]) -> None:
    begins = sorted(starts)
    words = spoken(" ".join(lines).replace("♪", "").replace("-", " "))
    found = shared([(begins[n], 20.0, line) for n, line in enumerate(lines)], words)
    assert ["".join(filter(str.isalnum, group)) for group in found] == [
        "".join(filter(str.isalnum, line)).replace("♪", "") for line in lines
    ]


@given(texts, st.lists(st.tuples(st.floats(0, 20), st.floats(0, 3), st.sampled_from(["na", "no", "-", "ja"]))))
def test_no_word_is_lost_whatever_the_texts_say(lines: list[str], given_words: list[tuple[float, float, str]]) -> None:
    words = [(start, start + length, word) for start, length, word in given_words]
    found = shared([(2.0 * n, 2.0 * n + 2, line) for n, line in enumerate(lines)], words)
    assert " ".join(found).split() == [word for _, _, word in sorted(words, key=lambda word: word[0])]
