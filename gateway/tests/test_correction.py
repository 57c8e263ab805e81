"""What stays of the machine's work in a correction, and how much may be corrected at once."""

import random
from pathlib import Path

import pytest

from gateway.alignment import aligned
from gateway.correction import LONGEST_BODY, GivenSegment, corrected
from pipeline.transcript import About, Segment, Word, write_layer


def test_a_day_of_speech_can_be_sent_back_as_it_was_read(tmp_path: Path) -> None:
    """220,000 words, of which a hundredth is written here; times and confidences as models tell them, words in two bytes a letter."""
    sure = random.Random(7).random
    starts = [80_000 + number / 3 for number in range(2_200)]
    words = [Word(start, start + sure() / 3, "слово.", sure()) for start in starts]
    sentences = [words[first : first + 11] for first in range(0, len(words), 11)]
    said = (Segment(of[0].start, of[-1].end, " ".join(w.text for w in of), tuple(of), "A1", sure()) for of in sentences)
    write_layer(tmp_path / "layer", About(86_400), said)
    assert 100 * (tmp_path / "layer").stat().st_size < 0.75 * LONGEST_BODY


def heard(*words: str) -> tuple[Word, ...]:
    """One a second, and all of them sure."""
    return tuple(Word(second, second + 0.5, word, 0.9) for second, word in enumerate(words))


def told(text: str, *words: str) -> list[tuple[float, str, bool]]:
    """The words of a text after those that were heard: when, what, and whether the model was sure of it."""
    return [(word.start, word.text, word.confidence is not None) for word in aligned(text, heard(*words))]


def test_a_word_that_was_changed_has_the_time_of_the_one_before() -> None:
    assert told("So said Mr. Macgregor, at last.", "so", "said", "Mister", "Gregor", "at", "last") == [
        (0, "So", True),
        (1, "said", True),
        (2, "Mr.", False),
        (3, "Macgregor,", False),
        (4, "at", True),
        (5, "last.", True),
    ]


@pytest.mark.parametrize(
    ("text", "words", "wanted"),
    [
        ("Eat all clover.", ("Eat", "clover."), [(0, "Eat all", False), (1, "clover.", True)]),
        ("They eat clover.", ("eat", "clover."), [(0, "They eat", False), (1, "clover.", True)]),
        ("Eat clover.", ("Eat", "all", "the", "clover"), [(0, "Eat", True), (3, "clover.", True)]),
        ("It… don't “eat", ("it", "don't", "eat"), [(0, "It…", True), (1, "don't", True), (2, "“eat", True)]),
        ("Eat some clover.", ("eat clover",), [(0, "Eat some clover.", False)]),
        ("a b Mc Gregor c", ("a", "b", "McGregor", "c"), [(0, "a", True), (1, "b", True), (2, "Mc Gregor", False), (3, "c", True)]),
        ("兔子吃草。", ("兔子", "吃", "花"), [(0, "兔子", True), (1, "吃", True), (2, "草。", False)]),
        ("Hares run fast, and far.", ("Rabbits", "eat", "clover", "and", "grass"), []),
        ("Hares.", (), []),
        ("…", ("Hares.",), []),
        ("…", ("!",), []),
    ],
)  # fmt: skip
def test_what_is_put_in_goes_with_a_word_and_what_is_left_out_is_gone(
    text: str, words: tuple[str, ...], wanted: list[tuple[float, str, bool]]
) -> None:
    assert told(text, *words) == wanted


def test_of_copies_without_end_one_has_the_words() -> None:
    before = [Segment(0, 9, "Rabbits eat clover.", heard("Rabbits", "eat", "clover."))]
    same, changed = (GivenSegment(start=0, end=9, text=text) for text in (before[0].text, "Rabbits eat grass."))
    for copy in same, changed:
        made = corrected([copy] * 3, before, 9)
        assert [len(segment.words) for segment in made] == [3, 0, 0]
    assert [len(segment.words) for segment in corrected([changed, same], before, 9)] == [0, 3]
