"""What stays of the machine's work in a correction, and how much may be corrected at once."""

import random
from pathlib import Path

from gateway.correction import GivenSegment, corrected
from pipeline.correction import LONGEST_BODY
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


def test_of_copies_without_end_one_has_the_words() -> None:
    before = [Segment(0, 9, "Rabbits eat clover.", heard("Rabbits", "eat", "clover."))]
    same, changed = (GivenSegment(start=0, end=9, text=text) for text in (before[0].text, "Rabbits eat grass."))
    for copy in same, changed:
        made = corrected([copy] * 3, before, 9)
        assert [len(segment.words) for segment in made] == [3, 0, 0]
    assert [len(segment.words) for segment in corrected([changed, same], before, 9)] == [0, 3]
