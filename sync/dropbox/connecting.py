"""What sync does when an account is connected, and when it is disconnected: `connect` and `disconnect`."""

from collections.abc import Mapping
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
"""How often it is tried to give an access back before it is forgotten all the same: for about three minutes."""

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
    grant = _grant(accounts, connection, beat)
    account = app.account(grant.refresh_token, beat)
    try:
        _check(grant)
        who = account.who()
        sealed = accounts.seal(refresh_token=grant.refresh_token)
        sent = list(accounts.connections.connected(connection.id, sealed, who.id, who.name, who.email))
    except (Broken, Settled) as refused:
        if _is_in_use(accounts, connection.id, grant):
            return []  # another attempt was faster
        _give_back_if_possible(account)
        raise Broken(refused.reason if isinstance(refused, Broken) else str(refused)) from refused
    if before := accounts.secrets(connection).get("refresh_token"):
        _give_back_if_possible(app.account(before, beat))
    return sent


def _grant(accounts: Accounts, connection: Connection, beat: Beat) -> Grant:
    """What the owner allowed, by this attempt or an earlier one. Raises Broken, Retry."""
    secrets = accounts.secrets(connection)
    if "code" in secrets:
        return _exchange(accounts, connection.id, secrets, beat)
    return Grant(secrets["offered"], frozenset(secrets["scopes"].split()))


def _exchange(accounts: Accounts, connection_id: str, secrets: Mapping[str, str], beat: Beat) -> Grant:
    """A code is good once, so what it brings is kept before anything else is done. Raises Broken, Retry."""
    app, _ = accounts.ready
    grant = app.exchange(secrets["code"], secrets["verifier"], secrets["redirect_uri"], beat)
    if not grant.refresh_token:
        raise Broken(SHORT)
    before = {name: secrets[name] for name in ("refresh_token",) if name in secrets}
    sealed = accounts.seal(**before, offered=grant.refresh_token, scopes=" ".join(grant.scopes))
    try:
        accounts.connections.exchanged(connection_id, sealed)
    except Settled as late:
        _give_back_if_possible(app.account(grant.refresh_token, beat))
        raise Broken(str(late)) from late
    if "offered" in secrets:  # of a sign-in that came to nothing
        _give_back_if_possible(app.account(secrets["offered"], beat))
    return grant


def _check(grant: Grant) -> None:
    """Raises Broken."""
    if refused := set(SCOPES) - grant.scopes:
        raise Broken(REFUSED.format(", ".join(sorted(refused))))


def _is_in_use(accounts: Accounts, connection_id: str, grant: Grant) -> bool:
    found = accounts.connections.load(connection_id)
    return found is not None and accounts.secrets(found).get("refresh_token") == grant.refresh_token


def _give_back(account: Account) -> None:
    """What nobody will use should not stay open. Raises Retry."""
    try:
        account.revoke()
    except (Broken, Reject) as over:
        log.info("the access had ended already", reason=over.reason)


def _give_back_if_possible(account: Account) -> None:
    try:
        _give_back(account)
    except Retry as failed:
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
    """Of one that never worked there may be nothing to revoke. Raises Retry."""
    app, _ = accounts.ready
    secrets = accounts.secrets(connection)
    for name in ("refresh_token", "offered"):
        if name in secrets:
            _give_back(app.account(secrets[name], beat))
