"""Which words of a long text are others in another one."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rapidfuzz.distance import Levenshtein

from pipeline.analysis import Token, tokens
from pipeline.errors import Reject

_MOST = 4 * 10**11
"""Words before times words after that are compared at once: half a minute, and a day of speech that was written anew."""
_SPACED = re.compile(r"\s*\S{1,1000}\s*")
"""What is longer without a space is no word, and would take long to look at as one."""


def pieces(text: str) -> Iterator[Token]:
    """All of `text` in order, cut at each of its words and signs that stand by themselves, with the space behind them."""
    for found in _SPACED.finditer(text):
        said = list(tokens(found[0])) or [Token(found[0].strip(), 0, 0)]
        starts = [0, *(token.start for token in said[1:]), len(found[0])]
        for token, (begin, end) in zip(said, pairwise(starts), strict=True):
            yield Token(token.word, found.start() + begin, found.start() + end)


def changes_of_words(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    """As few as can be, like the opcodes of `difflib.SequenceMatcher`, which takes minutes for hours of speech.

    Raises Reject for more than can be compared.
    """
    if len(before) * len(after) > _MOST:
        raise Reject("More was rewritten at once than can be compared with the transcript; change less at a time.")
    changes = Levenshtein.opcodes(before, after)
    return [(change.tag, change.src_start, change.src_end, change.dest_start, change.dest_end) for change in changes]
