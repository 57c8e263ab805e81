"""When the words of a text were said that a person has changed: as those whose place they take."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from operator import itemgetter

from pipeline.analysis import Token, tokens
from pipeline.transcript import Word

ALIKE = 0.5
"""Share of the words that have to be the same; what was written anew altogether says nothing of when."""


def aligned(text: str, heard: Sequence[Word]) -> tuple[Word, ...]:
    """The words of `text` with the times of those that were heard; none where the two have too little in common.

    What was put in goes with the word before it. A word that is not as it was heard has no confidence.
    """
    known = [(token.word, place) for place, word in enumerate(heard) for token in tokens(word.text)]
    said = list(tokens(text))
    matcher = SequenceMatcher(None, [word for word, _ in known], [token.word for token in said])
    if not said or matcher.ratio() < ALIKE:
        return ()
    places = [known[number][1] for number in counterparts(matcher.get_opcodes())]
    starts = [0, *(_start(text, before.end, after.start) for before, after in pairwise(said)), len(text)]
    pieces = zip(places, said, pairwise(starts), strict=True)
    return tuple(_word(heard[place], text, list(of)) for place, of in groupby(pieces, itemgetter(0)))


def counterparts(changes: Iterable[tuple[str, int, int, int, int]]) -> Iterator[int]:
    """Which word of the first sequence each one of the second is, or has taken the place of. They never go back.

    `changes` are the opcodes of `difflib.SequenceMatcher`, or the like.
    """
    for _, begin, end, first, behind in changes:
        for number in range(behind - first):
            share = number * (end - begin) // (behind - first)
            yield max(0, min(begin + share, end - 1))


def _start(text: str, begin: int, word: int) -> int:
    """Where what is written around a word begins: signs go with the word before them, but quotes and the like with the one behind."""
    space = text.rfind(" ", begin, word)
    return word if space < 0 else space + 1


def _word(heard: Word, text: str, pieces: Sequence[tuple[int, Token, tuple[int, int]]]) -> Word:
    begin, end = pieces[0][2][0], pieces[-1][2][1]
    same = [token.word for token in tokens(heard.text)] == [token.word for _, token, _ in pieces]
    return Word(heard.start, heard.end, text[begin:end].strip(), heard.confidence if same else None)
