"""Cuts what was heard at once, up to half a minute, into phrases: where a sentence ends, or who speaks is silent."""

from collections.abc import Iterator, Sequence

from speech.model import Word

PAUSE = 1.0
"""Seconds of silence that end a phrase."""

LONGEST = 12.0
"""Seconds of a phrase, after which it ends at the next word."""

_ENDS = (".", "?", "!", "…", "。", "？", "！")  # noqa: RUF001
_QUOTES = "\"'”’»)]"  # noqa: RUF001


def phrases(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Each word is in one of them, in order."""
    begin = 0
    for end in range(1, len(words) + 1):
        if end == len(words) or _over(words[begin], words[end - 1], words[end]):
            yield words[begin:end]
            begin = end


def _over(first: Word, last: Word, following: Word) -> bool:
    return (
        last.word.rstrip(_QUOTES).endswith(_ENDS)
        or following.start - last.end >= PAUSE
        or following.end - first.start > LONGEST
    )
