"""Which files of a watched folder may be recordings, by what is known without fetching them."""

from pathlib import PurePosixPath

from pipeline.formats import INPUTS
from pipeline.names import media_type
from sync.dropbox.account import RemoteFile

_EXTENSIONS = frozenset(f".{known.extension}" for known in INPUTS)

HIDDEN = "Its name begins with a dot: it is a hidden file of some program."
NOT_MEDIA = "By its name it is neither a video nor a recording."
ONLY_THERE = "It cannot be downloaded: it exists in Dropbox only."
EMPTY = "The file is empty."


def refusal(file: RemoteFile, largest: int) -> str | None:
    """Why a file is not fetched, for its owner; None if it is. `largest`: bytes."""
    name = PurePosixPath(file.path).name
    if name.startswith("."):
        return HIDDEN
    if not _may_be_media(name):
        return NOT_MEDIA
    if not file.downloadable:
        return ONLY_THERE
    if file.size > largest:
        return f"It has {_gigabytes(file.size)}; {_gigabytes(largest)} is the most that is taken."
    return None if file.size else EMPTY


def _may_be_media(name: str) -> bool:
    """The table of extensions differs from machine to machine, so that the kinds that are certainly taken are asked first."""
    known = PurePosixPath(name).suffix.lower() in _EXTENSIONS
    return known or media_type(name).startswith(("audio/", "video/"))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 10**8 else f"{size:,} bytes"
