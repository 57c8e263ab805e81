"""What cues keep to, so that people can read them."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Profile:
    """Widths are in columns: a full-width character (UAX #11) takes two, a combining one none. Times are in milliseconds.

    The numbers are those of the guides that broadcasters give to subtitlers.
    """

    line: int = 42
    """Columns. Only a word that is wider by itself, an address for example, makes a wider line."""
    lines: int = 2
    speed: float = 17.0
    """Columns a second that people read at ease; a cue stays until then where nothing comes after it."""
    fastest: float = 20.0
    """Columns a second that cues are broken to keep below. Where a speaker is faster, no word is dropped for it."""
    shortest: int = 1000
    """Where there is room."""
    longest: int = 7000
    gap: int = 84
    """Between cues: two frames, so that the eye sees that the text changes."""
    glimpse: int = 300
    """A cue stays at least so long, even if the next one comes late for it."""
    pause: int = 1000
    """A silence that no cue goes on over."""


LATIN = Profile()
"""For all scripts of half-width letters."""
CJK = Profile(line=32, speed=18.0, fastest=24.0)
"""16 full-width characters a line, 9 a second."""

_NO_WIDTH = ("Mn", "Me", "Cf")


def width(text: str) -> int:
    """Columns."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


_WIDE = re.compile(
    r"[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)


def profile_for(texts: Iterable[str]) -> Profile:
    """By the script that most letters are of: recordings change their language, and services name it wrongly."""
    letters = wide = 0
    for character in chain.from_iterable(texts):
        letters += character.isalpha()
        wide += bool(_WIDE.match(character))
    return CJK if wide * 2 > letters else LATIN
