"""What is known of the words of a text that a person has changed."""

import pytest

from pipeline.alignment import aligned
from pipeline.transcript import Word


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
