"""What a Dropbox holds, as the API describes it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from dev.dropbox.content import Content


@dataclass(frozen=True)
class Named:
    """`path` as displayed: from the root, with a leading slash."""

    path: str

    @property
    def lower(self) -> str:
        return self.path.lower()

    def _names(self, tag: str) -> dict[str, Any]:
        name = PurePosixPath(self.path).name
        return {".tag": tag, "name": name, "path_lower": self.lower, "path_display": self.path}


@dataclass(frozen=True)
class File(Named):
    """One revision of a file. Moments are aware."""

    id: str
    rev: str
    content: Content
    client_modified: datetime
    server_modified: datetime
    downloadable: bool = True

    def metadata(self) -> dict[str, Any]:
        return self._names("file") | {
            "id": self.id,
            "rev": self.rev,
            "size": self.content.size,
            "content_hash": self.content.content_hash,
            "client_modified": written(self.client_modified),
            "server_modified": written(self.server_modified),
            "is_downloadable": self.downloadable,
        }


@dataclass(frozen=True)
class Folder(Named):
    id: str

    def metadata(self) -> dict[str, Any]:
        return self._names("folder") | {"id": self.id}


@dataclass(frozen=True)
class Deleted(Named):
    """A file, or a folder with all that was in it."""

    folder: bool = False

    def metadata(self) -> dict[str, Any]:
        return self._names("deleted")


Entry = File | Folder
Change = Entry | Deleted


def written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> datetime:
    """To the second, as Dropbox keeps it."""
    return datetime.now(UTC).replace(microsecond=0)


def within(lower: str, folder: str) -> bool:
    """Whether a path is the folder's or of something in it; both in lower case, the root is empty."""
    return lower == folder or lower.startswith(f"{folder}/")
