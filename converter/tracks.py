"""Which of a recording's sounds is meant, and whether the recording itself can serve as its track."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from langcodes import Language
from langcodes.tag_parser import LanguageTagError

from pipeline.errors import Reject
from pipeline.probe import Probe, Sound

_IDENTIFICATION: Final = re.compile(rb"OggS\0.{23}(\x01vorbis.{23})", re.DOTALL)
"""All that is on the first page of a stream (RFC 3533, section 6): 58 bytes."""

_PIECE: Final = 2**18
"""Bytes."""

_MOST_CHANNELS: Final = 64
"""More than that libswresample does not mix."""


def choose(found: Probe, wanted: str | None) -> Sound:
    """The sound track that `wanted` names by number or language, or else the default one. Raises Reject."""
    if not found.sound:
        raise Reject("This recording has no sound.")
    if found.encrypted:
        raise Reject("This recording is copy-protected (encrypted), so its sound cannot be read.")
    chosen = _named(found.sound, wanted) if wanted else max(found.sound, key=lambda track: track.default)
    _check(chosen)
    return chosen


def stays(found: Probe, chosen: Sound, size: int) -> bool:
    """The recording, of `size` bytes, is mostly that sound, so that copying it out would save nothing."""
    return alone(found) if chosen.bytes is None else chosen.bytes >= size / 2


def alone(found: Probe) -> bool:
    """The recording holds one sound, and pictures of it and chapters at most."""
    return len(found.sound) == 1 and not found.besides


def check_chain(path: Path) -> None:
    """Raises Reject if Vorbis streams follow each other in an Ogg file and are not alike: libav decodes all as it does the first.

    Each begins with an identification header (Vorbis I specification, section 4.2.2).
    """
    found: set[bytes] = set()
    before = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(_IDENTIFICATION.findall(before + piece))
            before = piece[-57:]
    if len(found) > 1:
        raise Reject(
            "This file is several recordings in a row, made with different settings, and cannot be converted as one: "
            "upload them one by one."
        )


def _named(tracks: Sequence[Sound], wanted: str) -> Sound:
    if wanted.isdecimal():
        matching = tracks[int(wanted) : int(wanted) + 1]
    else:
        language = _language(wanted)
        matching = [track for track in tracks if language and _language(track.language) == language]
    if not matching:
        raise Reject(f"This recording has no sound track {wanted}. It has {_listed(tracks)}.")
    return max(matching, key=lambda track: track.default)


def _language(tag: str | None) -> str | None:
    """`de`, `deu`, `ger` and `de-AT` are one language (ISO 639); None if it is not known."""
    try:
        return Language.get(tag or "und").language
    except LanguageTagError:
        return None


def _listed(tracks: Sequence[Sound]) -> str:
    languages = [_language(track.language) for track in tracks]
    return ", ".join(f"{number} ({language})" if language else str(number) for number, language in enumerate(languages))


def _check(chosen: Sound) -> None:
    """Raises Reject for what cannot be decoded or mixed anyway."""
    if chosen.elsewhere:
        raise Reject("This recording only points at another file for its sound; upload that one.")
    if chosen.codec is None:
        raise Reject("The sound of this recording is of a kind that cannot be decoded.")
    if chosen.channels > _MOST_CHANNELS:
        raise Reject(
            f"The sound of this recording has {chosen.channels} channels; more than {_MOST_CHANNELS} cannot be mixed."
        )
