"""What sync does when an account is connected, and when it is disconnected: `connect` and `disconnect`."""

from functools import partial
from pathlib import Path

import structlog

from pipeline.authorizations import SCOPES
from pipeline.blobs import BlobStore
from pipeline.connection_rows import Connection
from pipeline.errors import Reject, Retry
from pipeline.jobs import Settled
from pipeline.messages import Message
from pipeline.network import Beat
from pipeline.work import Progress, Result, Task
from sync.dropbox.account import Account, Broken, Grant
from sync.dropbox.accounts import Accounts

log = structlog.get_logger()

REVOCATIONS = 8
"""How often it is tried to give an access back before it is forgotten all the same: for about five minutes."""

REFUSED = "Spool needs all that it asks for, and was not allowed: {}. Connect the account again and allow it."
SHORT = "Dropbox let Spool in only for a few hours; connect the account again."


def connect(task: Task, _blobs: BlobStore, _folder: Path, progress: Progress, *, accounts: Accounts) -> Result:
    """Exchanges the code that the owner brought for access to the account. Whatever follows, the ledger begins. Raises Retry."""
    connections = accounts.connections
    connection = connections.load(task.job_id)
    if connection is None or connection.state != "connecting":
        return Result()
    try:
        return Result(sent=_connect(accounts, connection, partial(progress, 0)))
    except Broken as broken:
        return Result(sent=connections.broken(connection.id, broken.reason))


def _connect(accounts: Accounts, connection: Connection, beat: Beat) -> list[Message]:
    """Raises Broken, Retry."""
    app, _ = accounts.ready
    grant = app.exchange(**accounts.secrets(connection), beat=beat)
    if not grant.refresh_token:
        raise Broken(SHORT)
    account = app.account(grant.refresh_token, beat)
    try:
        _check(grant)
        who = account.who()
        sealed = accounts.seal(grant.refresh_token)
        return list(accounts.connections.connected(connection.id, sealed, who.id, who.name, who.email))
    except (Broken, Settled) as refused:
        _give_back(account)
        raise Broken(refused.reason if isinstance(refused, Broken) else str(refused)) from refused


def _check(grant: Grant) -> None:
    """Raises Broken."""
    if refused := set(SCOPES) - grant.scopes:
        raise Broken(REFUSED.format(", ".join(sorted(refused))))


def _give_back(account: Account) -> None:
    """What nobody will use should not stay open."""
    try:
        account.revoke()
    except (Broken, Retry, Reject) as failed:
        log.warning("an access that is not used could not be given back", reason=failed.reason)


def disconnect(task: Task, _blobs: BlobStore, _folder: Path, progress: Progress, *, accounts: Accounts) -> Result:
    """Gives the access back, and forgets the connection. Raises Retry, a bounded number of times."""
    connection = accounts.connections.load(task.job_id)
    if connection is not None:
        try:
            _revoke(accounts, connection, partial(progress, 0))
        except Retry as failed:
            if task.failures < REVOCATIONS:
                raise
            log.warning("access was not given back, but is forgotten", connection=connection.id, reason=failed.reason)
        accounts.connections.gone(connection.id)
    return Result()


def _revoke(accounts: Accounts, connection: Connection, beat: Beat) -> None:
    if "refresh_token" not in accounts.secrets(connection):
        return  # it never worked
    try:
        accounts.open(connection, beat).revoke()
    except (Broken, Reject) as over:
        log.info("the access had ended already", connection=connection.id, reason=over.reason)
