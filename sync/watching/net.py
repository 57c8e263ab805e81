"""What a page of a list comes to in the end. Dropbox tells no upper from lower case in paths."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sync.dropbox.account import Gone, RemoteFile


@dataclass(frozen=True)
class Net:
    """Whoever moves a file is told of as gone from one place and there at another, so that what is there at last is no loss."""

    there: Sequence[RemoteFile]
    """Each file once, in its last place."""
    lost: frozenset[str]
    """Ids of files that were named, and then gone again."""
    gone: frozenset[str]
    """Paths of files or whole folders, in lower case, but for those in a folder that is gone itself."""

    @classmethod
    def of(cls, entries: Sequence[RemoteFile | Gone]) -> Self:
        gone = {entry.path.lower(): when for when, entry in enumerate(entries) if isinstance(entry, Gone)}
        named = [(when, entry) for when, entry in enumerate(entries) if isinstance(entry, RemoteFile)]
        by_path = {entry.path.lower(): (when, entry) for when, entry in named}
        last = {entry.id: when for when, entry in named}
        there = [file for path, (when, file) in by_path.items() if last[file.id] == when > _gone_at(path, gone)]
        roots = [path for path in gone if not any(above in gone for above in _folders(path))]
        return cls(there, frozenset(last) - {file.id for file in there}, frozenset(roots))


def _gone_at(path: str, gone: Mapping[str, int]) -> int:
    """When it, or a folder that it is in, was gone for the last time; -1 if it never was."""
    return max(gone.get(place, -1) for place in (path, *_folders(path)))


def _folders(path: str) -> Iterator[str]:
    """That it is in."""
    while path := path.rpartition("/")[0]:
        yield path
