"""A transcript's file that a person has edited, as the segments of the transcript's next version."""

import codecs
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from pipeline.correction import LONGEST_BODY, MOST_SEGMENTS
from pipeline.errors import Reject
from pipeline.transcript import Layer, Segment
from sync.edits import paragraphs, subtitles

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_CONTROLS = 0.1
"""Share of the characters of what is still text: a damaged file has some that mean nothing, and one that is no text has many."""

_LEAST, _GROWS = 4 * 2**20, 4
"""An edited file may have so many bytes in any case, and so many times those it had: what is compared takes time."""

_READERS: Mapping[str, Callable[[str, str, Sequence[Segment], float], list[Segment]]] = {
    ".srt": subtitles.srt,
    ".vtt": subtitles.vtt,
    ".txt": paragraphs.txt,
}
KINDS = frozenset(_READERS)
"""How the names of files end that can be edited."""


def edited(name: str, content: bytes, written: bytes, before: Layer) -> list[Segment] | None:
    """The segments, in the order of time, that the edited file `name` makes of those of `before`; None where it says the same.

    `written` is the file as it was made of `before`: what differs from it is what the person did. All that they left alone stays
    with its times, words and speakers. Raises Reject for what cannot become a transcript, KeyError for a name not of `KINDS`.
    """
    kind = PurePath(name).suffix.lower()
    if len(content) > (most := min(LONGEST_BODY, max(_LEAST, _GROWS * len(written)))):
        raise Reject(f"The edited file is larger than {most // 2**20} MiB.")
    original = written.decode()
    segments = list(before.segments())
    made = _READERS[kind](_text(content, original), original, segments, before.about.duration)
    if len(made) > max(MOST_SEGMENTS, len(segments)):
        raise Reject(f"The edited file would make more than {MOST_SEGMENTS} segments.")
    if segments and not made:
        raise Reject("The edited file has no text left in it.")
    return None if made == segments else made


def _text(content: bytes, original: str) -> str:
    """UTF-8, UTF-16 by its mark, or as editors on Windows write the letters of western Europe. Raises Reject."""
    encoding = next((name for mark, name in _BOMS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = _western(content, original)
    controls = sum(unicodedata.category(character) == "Cc" for character in text if character not in "\t\n\r\f")
    if controls > _CONTROLS * len(text):
        raise Reject("The edited file is not text.")
    return text


def _western(content: bytes, original: str) -> str:
    """Letters of other scripts would be taken for wrong ones."""
    try:
        original.encode("cp1252")
        return content.decode("cp1252")
    except UnicodeError:
        raise Reject("The edited file cannot be read as text; save it as UTF-8.") from None
