"""One person's Dropbox: a tree of files and folders, and the journal of what happened to it."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from threading import Condition
from typing import Any

from dev.dropbox.content import Content, Held
from dev.dropbox.entries import Change, Deleted, Entry, File, Folder, now, within
from dev.dropbox.sessions import Sessions


class Account:
    """Tests change it by its methods, as its owner would on another device. Paths have a leading slash, in any case.

    `space`: bytes that its files may take together; None: as many as wanted.
    """

    def __init__(self, name: str, email: str, changed: Callable[["Account"], None]) -> None:
        self.name, self.email = name, email
        self.id = f"dbid:{secrets.token_urlsafe(26)[:35]}"
        self.uid = str(secrets.randbelow(10**9))
        self.space: int | None = None
        self.entries: dict[str, Entry] = {}
        """What is there now, by its path in lower case."""
        self.places: dict[str, int] = {}
        """Where in the journal each of them is told."""
        self.journal: list[Change] = []
        self.revisions: dict[str, File] = {}
        self.sessions = Sessions()
        self.epoch = 0
        """Cursors of another epoch are no longer good."""
        self.moved_on = Condition()
        """Guards all of this, and says that the journal grew."""
        self._changed = changed
        self._counter = secrets.randbelow(2**32)

    def put(
        self,
        path: str,
        content: bytes | Content,
        *,
        modified: datetime | None = None,
        client_modified: datetime | None = None,
        downloadable: bool = True,
    ) -> File:
        """Makes a file, and the folders around it, or the next revision of one. `modified`: its `server_modified`.

        Raises IsADirectoryError if a folder is there.
        """
        held = Held(content) if isinstance(content, bytes) else content
        held.content_hash  # noqa: B018  # computed before anybody waits for the lock
        moment = modified or now()
        with self.moved_on:
            known = self.entries.get(path.lower())
            if isinstance(known, Folder):
                raise IsADirectoryError(path)
            file = File(
                known.path if known else self._displayed(path),
                known.id if known else self._new_id(),
                self._new_rev(),
                held,
                client_modified or moment,
                moment,
                downloadable,
            )
            self._keep(file)
        self._changed(self)
        return file

    def folder(self, path: str) -> Folder:
        """Makes one, and those around it, unless it is there."""
        with self.moved_on:
            made = self._folder(path)
        self._changed(self)
        return made

    def delete(self, path: str) -> Entry:
        """A folder goes with all that is in it, and the journal tells it once. Raises KeyError."""
        with self.moved_on:
            gone = self._forget(path.lower())
        self._changed(self)
        return gone

    def move(self, path: str, to: str) -> Entry:
        """A file or a folder, under the same id. Raises KeyError."""
        with self.moved_on:
            moving = [entry for lower, entry in sorted(self.entries.items()) if within(lower, path.lower())]
            if not moving:
                raise KeyError(path)
            self._forget(path.lower())
            target = self._displayed(to)
            for entry in moving:
                self._keep(self._moved(entry, target + entry.path[len(path) :]))
            moved = self.entries[to.lower()]
        self._changed(self)
        return moved

    def reset_cursors(self) -> None:
        """All that were given out until now answer `reset`."""
        with self.moved_on:
            self.epoch += 1
            self.moved_on.notify_all()

    def file(self, path: str) -> File:
        """Raises KeyError if there is none."""
        entry = self.entries[path.lower()]
        if not isinstance(entry, File):
            raise KeyError(path)
        return entry

    def read(self, path: str) -> bytes:
        return b"".join(self.file(path).content.blocks())

    def files(self) -> list[str]:
        """Paths as displayed, sorted."""
        return sorted(entry.path for entry in list(self.entries.values()) if isinstance(entry, File))

    def find(self, path: str) -> Entry | None:
        """By its path, by `id:` or, also if it is not the newest, by `rev:`."""
        with self.moved_on:
            if path.startswith("rev:"):
                return self.revisions.get(path.removeprefix("rev:"))
            if path.startswith("id:"):
                return next((entry for entry in self.entries.values() if entry.id == path), None)
            return self.entries.get(path.lower())

    @property
    def used(self) -> int:
        """Bytes of all files together."""
        return sum(entry.content.size for entry in self.entries.values() if isinstance(entry, File))

    def described(self) -> dict[str, Any]:
        """https://www.dropbox.com/developers/documentation/http/documentation#users-get_current_account"""
        first, _, last = self.name.partition(" ")
        return {
            "account_id": self.id,
            "name": {
                "given_name": first,
                "surname": last,
                "familiar_name": first,
                "display_name": self.name,
                "abbreviated_name": "".join(word[0] for word in self.name.split()),
            },
            "email": self.email,
            "email_verified": True,
            "disabled": False,
            "locale": "en",
            "referral_link": "https://www.dropbox.com/referrals/x",
            "is_paired": False,
            "account_type": {".tag": "basic"},
            "root_info": {".tag": "user", "root_namespace_id": self.uid, "home_namespace_id": self.uid},
        }

    def _displayed(self, path: str) -> str:
        """A new path, with its folders written as they are."""
        parent, _, name = path.rpartition("/")
        return f"{self._folder(parent).path if parent else ''}/{name}"

    def _folder(self, path: str) -> Folder:
        there = self.entries.get(path.lower())
        if isinstance(there, Folder):
            return there
        made = Folder(self._displayed(path), self._new_id())
        self._keep(made)
        return made

    def _keep(self, entry: Entry) -> None:
        self.entries[entry.lower] = entry
        self.places[entry.lower] = self._tell(entry)
        if isinstance(entry, File):
            self.revisions[entry.rev] = entry

    def _forget(self, lower: str) -> Entry:
        gone = self.entries[lower]
        for inside in [one for one in self.entries if within(one, lower)]:
            del self.entries[inside], self.places[inside]
        self._tell(Deleted(gone.path, isinstance(gone, Folder)))
        return gone

    def _moved(self, entry: Entry, path: str) -> Entry:
        return replace(entry, path=path, rev=self._new_rev()) if isinstance(entry, File) else replace(entry, path=path)

    def _tell(self, change: Change) -> int:
        self.journal.append(change)
        self.moved_on.notify_all()
        return len(self.journal) - 1

    def _new_id(self) -> str:
        return f"id:{secrets.token_urlsafe(16)}"

    def _new_rev(self) -> str:
        self._counter += 1
        return f"{self._counter:015x}"
