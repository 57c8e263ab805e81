"""How text is taken apart for search, the same on every database: their own ways differ in letters, short words and stop words.

A word is a run of letters, marks and digits, without case and accents. Scripts that put no spaces between words are taken
character by character. What databases get of it is ASCII, see `encoded`.
"""

import unicodedata
from bisect import bisect
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

LONGEST = 80
"""Characters of an encoded word; MySQL leaves out words of more than 84."""

_HEAD = "w0"
"""Before every encoded word: with it none is shorter than the three characters that MySQL wants, and none is a stop word."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxy0123456789")
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1100, 0x11FF),  # Hangul: Korean has spaces, but joins particles to its nouns
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # marks and zero of Han
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31F0, 0x31FF),  # Katakana
    (0x3400, 0x9FFF),  # Han
    (0xAC00, 0xD7FF),  # Hangul
    (0xF900, 0xFAFF),  # Han
    (0x20000, 0x3FFFF),  # Han
)
_BOUNDS = tuple(chain.from_iterable((first, last + 1) for first, last in _UNSPACED))


class Token(NamedTuple):
    """A word, and where it stands in the text."""

    word: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """The words of `text`, which should be in Unicode's form NFC."""
    word, start, end = "", 0, 0
    for place, character in enumerate(text):
        folded = _folded(character)
        stands_alone = _is_unspaced(folded)
        if word and (stands_alone or folded is None):
            yield Token(word, start, end)
            word = ""
        if stands_alone:
            yield from (Token(part, place, place + 1) for part in folded or "")
        elif folded:
            word, start, end = word + folded, start if word else place, place + 1
    if word:
        yield Token(word, start, end)


def encoded(word: str) -> str:
    """Letters of ASCII, and digits. Of two words one begins with the other exactly if what is encoded does, up to LONGEST."""
    return (_HEAD + "".join(map(_encoded, word)))[:LONGEST]


def _encoded(character: str) -> str:
    """Itself, or its number between two z, so that no character's code begins with that of another."""
    return character if character in _PLAIN else f"z{ord(character):x}z"


@lru_cache(maxsize=4096)
def _folded(character: str) -> str | None:
    """What a character counts as in a word: nothing if it is only there for its neighbours, None if it ends the word."""
    if unicodedata.category(character) == "Cf":  # joiners, soft hyphens
        return ""
    parted = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    plain = unicodedata.normalize("NFC", "".join(part for part in parted if part not in _ACCENTS))
    return plain if all(unicodedata.category(part)[0] in "LMN" for part in plain) else None


def _is_unspaced(folded: str | None) -> bool:
    return bisect(_BOUNDS, ord(folded[0])) % 2 == 1 if folded else False
