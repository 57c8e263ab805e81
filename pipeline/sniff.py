"""Recognises, by its first bytes, what can be no recording. The declared type and the file's name are not asked."""

import codecs

HEAD = 512
"""How many first bytes of a file are looked at."""

_SIGNATURES = (b"%PDF-", b"PK\x03\x04", b"\x1f\x8b\x08")
"""PDF, ZIP (and so office documents), gzip."""


def plainly_not_media(head: bytes) -> bool:
    """True only where no doubt is left; whatever else is wrong with a file, the converter finds out."""
    return head.startswith(_SIGNATURES) or _is_text(head)


def _is_text(head: bytes) -> bool:
    """UTF-8 without control characters; `head` may end in the middle of a character."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\f\r" for character in text)
