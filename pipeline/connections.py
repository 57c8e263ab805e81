"""Accounts elsewhere that users have connected, as their owners see and steer them, and as what works on them does.

Every question of an owner carries the owner: a foreign id is answered like one that never was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import ColumnElement, Engine, select, update
from sqlalchemy.orm import Session

from pipeline.catalog import ConnectionRow, FolderRow, JobRow, RemoteFileRow
from pipeline.connection_rows import (
    KIND,
    Connection,
    begin,
    call_off,
    folders,
    go_on,
    hurry,
    lock,
    lock_all,
    rest,
    view,
    wake,
)
from pipeline.database import transaction
from pipeline.jobs import NewJob, Settled, add_job, erase
from pipeline.messages import Message
from pipeline.options import Options, reachable
from pipeline.remote_file_rows import forget
from pipeline.task_rows import messages, new_task
from pipeline.telling import tell
from pipeline.wishes import Wishes, covers, overlap
from pipeline.work import NextTask

MOST = 50
"""Connections that one user may have."""
TITLE = "Dropbox"

Begun = tuple[Connection, Sequence[Message]]
"""A connection, and what is to be sent for what happened to it."""

_STATES = {
    "connecting": "The account is still being connected.",
    "active": "The connection works already.",
    "paused": "The connection is paused; resume it first.",
    "broken": "The connection is broken; connect the account anew, or disconnect it.",
    "leaving": "The account is being disconnected.",
}
_ANOTHER = "This is another account than before. Connect it by itself, and disconnect this one if it is not needed."
_TAKEN = "Another of your connections watches a folder of this account already: {}"


@dataclass(frozen=True)
class Connections:
    """The connections of one catalog. Every method raises `Unavailable` when the catalog is away.

    `secret` is JSON sealed by `pipeline.vault`: `{"code", "verifier", "redirect_uri"}` of the way to connect (RFC 6749 and
    7636), and once that is gone what sync/ puts in its place. While an account is connected anew both are there, one behind
    the other, with a space between.
    """

    engine: Engine

    def begin(
        self, owner: str, wishes: Wishes, secret: str, email: str, trace: str | None = None
    ) -> tuple[Connection, list[Message]]:
        """`email` is told when the connection breaks. Raises Settled if the owner has as many as may be."""
        new = NewJob(owner, TITLE, first=NextTask("connect"), options=Options(notify=reachable(email)), trace=trace)
        with transaction(self.engine) as session:
            if lock_all(session, owner) >= MOST:
                raise Settled(f"You have {MOST} connections, which is as many as may be; disconnect some first.")
            job, sent = add_job(session, new, KIND)
            row = ConnectionRow(id=job.id, owner=owner, state="connecting", secret=secret)
            _wish(row, wishes)
            session.add(row)
            session.flush()
            _watch(session, row.id, wishes.folders)
            return view(session, job, row), sent

    def list(self, owner: str) -> Sequence[Connection]:
        """Oldest first."""
        mine = select(ConnectionRow, JobRow).join(JobRow, JobRow.id == ConnectionRow.id)
        mine = mine.where(ConnectionRow.owner == owner).order_by(ConnectionRow.created_at, ConnectionRow.id)
        with transaction(self.engine) as session:
            return [view(session, job, row, counted=True) for row, job in session.execute(mine)]

    def get(self, owner: str, connection_id: str) -> Connection | None:
        return self._find(ConnectionRow.id == connection_id, ConnectionRow.owner == owner, counted=True)

    def change(self, owner: str, connection_id: str, wishes: Wishes) -> Begun | None:
        """Raises Settled if another of the owner's connections watches one of these folders already."""

        def act(session: Session, job: JobRow, row: ConnectionRow) -> Sequence[Message]:
            _expect(session, job, row, "connecting", "active", "paused", "broken")
            _check_apart(session, row, row.account_id, wishes.folders)
            _wish(row, wishes)
            _watch(session, row.id, wishes.folders)
            return wake(session, row.id, "watch")

        return self._act(owner, connection_id, act)

    def pause(self, owner: str, connection_id: str) -> Begun | None:
        """What is being fetched is fetched; nothing else happens until it goes on. Raises Settled unless it is active."""

        def act(session: Session, job: JobRow, row: ConnectionRow) -> Sequence[Message]:
            _expect(session, job, row, "active")
            row.state = "paused"
            rest(session, row.id)
            return []

        return self._act(owner, connection_id, act)

    def resume(self, owner: str, connection_id: str) -> Begun | None:
        """Also one that broke, if it ever worked: what was wrong may have been put right elsewhere. Raises Settled for others."""

        def act(session: Session, job: JobRow, row: ConnectionRow) -> Sequence[Message]:
            _expect(session, job, row, "paused", *(["broken"] if row.account_id else []))
            row.state, row.reason = "active", None
            return go_on(session, row.id)

        return self._act(owner, connection_id, act)

    def sync(self, owner: str, connection_id: str) -> Begun | None:
        """Looks now what is new. Raises Settled unless it is active."""

        def act(session: Session, job: JobRow, row: ConnectionRow) -> Sequence[Message]:
            _expect(session, job, row, "active")
            return wake(session, row.id, "watch")

        return self._act(owner, connection_id, act)

    def reconnect(self, owner: str, connection_id: str, secret: str) -> Begun | None:
        """Connects anew what is broken; what is known of its files stays, and so does what opened it before. Raises Settled for others."""

        def act(session: Session, job: JobRow, row: ConnectionRow) -> Sequence[Message]:
            _expect(session, job, row, "broken")
            row.state, row.reason = "connecting", None
            row.secret = " ".join([*(row.secret or "").split()[:1], secret])
            rest(session, row.id, quietly=True)
            return begin(session, job, "connect")

        return self._act(owner, connection_id, act)

    def disconnect(self, owner: str, connection_id: str) -> Begun | None:
        """Stops all that is done with the account, and has its token revoked. Jobs stay, but for those not fetched yet."""

        def act(session: Session, job: JobRow, row: ConnectionRow) -> Sequence[Message]:
            row.state, row.reason = "leaving", None
            rest(session, row.id, quietly=True)
            call_off(session, row.id)
            return begin(session, job, "disconnect")

        return self._act(owner, connection_id, act)

    def news(self, account_ids: Iterable[str]) -> Sequence[Message]:
        """Looks what is new in these accounts, whoever connected them. Waits for nobody who works on them just now."""
        known = ConnectionRow.account_id.in_(set(account_ids)), ConnectionRow.state == "active"
        with transaction(self.engine) as session:
            return hurry(session, session.scalars(select(ConnectionRow.id).where(*known)).all(), "watch")

    def load(self, connection_id: str) -> Connection | None:
        return self._find(ConnectionRow.id == connection_id)

    def exchanged(self, connection_id: str, secret: str) -> None:
        """Keeps what the way to connect has led to, in its place. Raises Settled if nobody waits for it any more."""
        with transaction(self.engine) as session:
            _, row = _awaited(session, connection_id)
            row.secret = secret

    def connected(
        self, connection_id: str, secret: str, account_id: str, name: str | None = None, email: str | None = None
    ) -> Sequence[Message]:
        """Begins to watch the account that `secret` opens. The messages stand for the tasks that follow `connect`.

        Raises Settled, whose text is for the owner, if nobody waits for this account any more, if it is another than before, or
        if another of the owner's connections watches one of the folders; then `secret` is not kept.
        """
        with transaction(self.engine) as session:
            lock_all(session, session.scalar(select(JobRow.owner).where(JobRow.id == connection_id)) or "")
            job, row = _awaited(session, connection_id)
            if row.account_id not in (None, account_id):
                raise Settled(_ANOTHER)
            _check_apart(session, row, account_id, [folder.path for folder in folders(session, row.id)])
            row.state, row.reason, row.secret = "active", None, secret
            row.account_id, row.account_name, row.account_email = account_id, name, email
            session.flush()
            return go_on(session, job.id)

    def broken(self, connection_id: str, reason: str) -> Sequence[Message]:
        """The account cannot be used any more until its owner connects it anew: everything is called off, and the owner told."""
        with transaction(self.engine) as session:
            found = lock(session, connection_id)
            if found is None or found[1].state in ("broken", "leaving"):
                return []
            job, row = found
            row.state = "broken"
            row.reason = job.reason = reason
            job.end("failed")
            rest(session, row.id)
            telling = [new_task(job.id, told) for told in tell(session, job, quietly=False)]
            session.add_all(telling)
            session.flush()
            return messages(job.trace, telling)

    def troubled(self, connection_id: str, reason: str | None) -> None:
        """Notes what does not work now, or that it works again, for the owner to read."""
        well = ConnectionRow.id == connection_id, ConnectionRow.state.in_(("connecting", "active", "paused"))
        with transaction(self.engine) as session:
            session.execute(update(ConnectionRow).where(*well).values(reason=reason))

    def gone(self, connection_id: str) -> None:
        """Forgets a connection that was disconnected, with all that is known of its files."""
        with transaction(self.engine) as session:
            found = lock(session, connection_id)
            if found is not None:
                call_off(session, connection_id)
                erase(session, found[0])

    def _find(self, *of: ColumnElement[bool], counted: bool = False) -> Connection | None:
        with transaction(self.engine) as session:
            row = session.scalar(select(ConnectionRow).where(*of))
            return view(session, session.get_one(JobRow, row.id), row, counted=counted) if row else None

    def _act(
        self, owner: str, connection_id: str, act: Callable[[Session, JobRow, ConnectionRow], Sequence[Message]]
    ) -> Begun | None:
        """None if the owner has no such connection."""
        with transaction(self.engine) as session:
            lock_all(session, owner)
            found = lock(session, connection_id, owner)
            if found is None:
                return None
            sent = act(session, *found)
            session.flush()
            return view(session, *found, counted=True), sent


def _expect(session: Session, job: JobRow, row: ConnectionRow, *states: str) -> None:
    """Raises Settled unless the connection is in one of these states."""
    state = view(session, job, row).state
    if state not in states:
        raise Settled(_STATES[state])


def _awaited(session: Session, connection_id: str) -> tuple[JobRow, ConnectionRow]:
    """A connection whose account is being connected, locked. Raises Settled if it is not any more."""
    found = lock(session, connection_id)
    if found is None or found[1].state != "connecting":
        raise Settled("Nobody waits for this account any more.")
    return found


def _check_apart(session: Session, row: ConnectionRow, account_id: str | None, paths: Iterable[str]) -> None:
    """Raises Settled if a file could be found by two connections of one owner. All of the owner's are locked."""
    others = ConnectionRow.owner == row.owner, ConnectionRow.account_id == account_id, ConnectionRow.id != row.id
    watched = select(FolderRow.path).join(ConnectionRow, ConnectionRow.id == FolderRow.connection_id).where(*others)
    taken = session.scalars(watched.where(ConnectionRow.state != "leaving")).all() if account_id else ()
    for path in paths:
        for other in taken:
            if overlap(path, other):
                raise Settled(_TAKEN.format(other or "/"))


def _wish(row: ConnectionRow, wishes: Wishes) -> None:
    row.options = wishes.options.kept()
    row.results, row.results_folder, row.conflict = wishes.results, wishes.results_folder, wishes.conflict


def _watch(session: Session, connection_id: str, paths: Sequence[str]) -> None:
    """Watches these folders and no others. Those that are watched already keep their cursors."""
    there = {row.path.lower(): row for row in folders(session, connection_id)}
    wanted = {path.lower(): path for path in paths}
    number = max((row.number for row in there.values()), default=-1)
    new = [
        FolderRow(id=uuid4().hex, connection_id=connection_id, number=number + 1 + count, path=path)
        for count, path in enumerate(path for key, path in wanted.items() if key not in there)
    ]
    session.add_all(new)
    session.flush()
    for old in (row for key, row in there.items() if key not in wanted):
        _hand_over(session, old, new)
        forget(session, RemoteFileRow.folder_id == old.id)
        session.delete(old)
    session.flush()


def _hand_over(session: Session, old: FolderRow, new: Iterable[FolderRow]) -> None:
    """What is known of files stays known where a folder takes the place of one that it is in, or that is in it."""
    for folder in new:
        if overlap(folder.path, old.path):
            inside = folder.path if covers(old.path, folder.path) else old.path
            known = (
                RemoteFileRow.folder_id == old.id,
                RemoteFileRow.path_lower.startswith(f"{inside.lower()}/", autoescape=True),
            )
            session.execute(update(RemoteFileRow).where(*known).values(folder_id=folder.id, round=-1))
