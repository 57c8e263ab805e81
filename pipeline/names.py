"""File names that came from strangers, made fit for a folder, a header and a link of anybody's computer."""

import mimetypes
import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from itertools import chain, count

LONGEST = 150
"""Bytes of UTF-8 that a name may have before its extension; file systems stop at 255."""

_NAMELESS = "recording"
_SEPARATORS = re.compile(r"[/\\]")
_FORBIDDEN = frozenset("\"'`<>:|?*")
_JOINERS = "\u200c\u200d"
"""Invisible, but Persian, Indic scripts and emoji are spelt with them."""
_WITHOUT_JOINERS = dict.fromkeys(map(ord, _JOINERS))
_DEVICE = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(?= *(\.|\Z))", re.IGNORECASE)
"""Names that Windows keeps for itself, whatever follows their first dot: "Naming Files, Paths, and Namespaces" in its documentation."""
_EXTENSION = re.compile(r"\.(?=[0-9]*[a-z])[a-z0-9]{1,10}\Z", re.IGNORECASE)


def safe_name(name: str, longest: int = LONGEST) -> str:
    """Returns the last part of `name` with letters of every script, and without what shells, headers and file systems trip over.

    Never empty nor a device's, no separators, quotes, control or invisible characters, no dot or dash in front; the extension stays,
    and before it at most `longest` characters.
    """
    base, extension = _split(_clean(name), longest)
    return base + extension


def folded(name: str) -> str:
    """The same for names that some file system takes for one: of other case, other forms of letters, or with invisible joiners."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_WITHOUT_JOINERS)


class Folded(set[str]):
    """Names that are taken where some cannot be told apart, see `folded`."""

    def add(self, name: str) -> None:
        super().add(folded(name))

    def __contains__(self, name: object) -> bool:
        return super().__contains__(folded(str(name)))


def stem(name: str, longest: int = LONGEST) -> str:
    """Returns the safe name without its extension."""
    return _split(_clean(name), longest)[0]


def media_type(name: str) -> str:
    """By the extension; what is neither audio nor video by it, is bytes to us."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"


def _split(name: str, longest: int) -> tuple[str, str]:
    found = _EXTENSION.search(name)
    extension = found.group() if found else ""
    base = name.removesuffix(extension)[:longest].encode()[:LONGEST].decode(errors="ignore")
    return _DEVICE.sub(r"\1_", base.rstrip(" .")) or _NAMELESS, extension


def _clean(name: str) -> str:
    # Twice: some characters are normalised into quotes, and what is removed can leave letters to be composed.
    # Compatibility forms first: a full-width slash or quote must be met as what others will make of it.
    last = _SEPARATORS.split(unicodedata.normalize("NFKC", name))[-1]
    kept = "".join(map(_kept, last))
    return unicodedata.normalize("NFKC", " ".join(kept.split())).lstrip(" .-" + _JOINERS).rstrip(" .")


def _kept(character: str) -> str:
    if character.isspace():
        return " "
    invisible = unicodedata.category(character).startswith("C") and character not in _JOINERS
    return "" if invisible or character in _FORBIDDEN else character


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or the first of `name (1)`, `name (2)`, ... before its extension that is not taken."""
    base, dot, extension = name.rpartition(".")
    numbered = (f"{base} ({number}){dot}{extension}" if base else f"{name} ({number})" for number in count(1))
    return next(free for free in chain([name], numbered) if free not in taken)


def free_names(names: Iterable[str], taken: set[str]) -> Iterator[str]:
    """A free name for each, which is taken then."""
    for name in names:
        free = free_name(name, taken)
        taken.add(free)
        yield free
