"""Users on the way to connect an account elsewhere: who began, in which browser, and what for (RFC 6749, sections 4.1 and 10.12)."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, select
from sqlalchemy.orm import Session

from pipeline.catalog import AuthorizationRow
from pipeline.database import changed, now, transaction

SCOPES = ("account_info.read", "files.metadata.read", "files.content.read", "files.content.write")
"""What Dropbox is asked to permit, and all that is used of it: whose account it is, what lies there, fetching, and putting results there."""
SECONDS = 600
"""How long one is good for."""
MOST = 20
"""On how many ways a user may be at a time; another makes the oldest end."""


@dataclass(frozen=True)
class Authorization:
    """One that is good no more: it was taken."""

    owner: str
    verifier: str = field(repr=False)
    """Sealed."""
    asked: Mapping[str, Any]
    connection_id: str | None


@dataclass(frozen=True)
class Authorizations:
    """Those of one catalog, which has hashes of what opens them. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def begin(
        self, owner: str, browser: str, verifier: str, asked: Mapping[str, Any], connection_id: str | None = None
    ) -> tuple[str, datetime]:
        """Returns the `state` that has to come back, and until when. `browser` is a secret of the browser that began."""
        state, end = secrets.token_urlsafe(32), now() + timedelta(seconds=SECONDS)
        row = AuthorizationRow(
            state=_hash(state),
            owner=owner,
            browser=_hash(browser),
            verifier=verifier,
            asked=dict(asked),
            connection_id=connection_id,
            expires_at=end,
        )
        with transaction(self.engine) as session:
            _end_oldest(session, owner)
            session.add(row)
        return state, end

    def by_browser(self, state: str, browser: str) -> Authorization | None:
        """Takes the one of this state, if this browser began it."""
        return self._take(state, AuthorizationRow.browser == _hash(browser))

    def by_owner(self, state: str, owner: str) -> Authorization | None:
        """Takes the one of this state, if this user began it."""
        return self._take(state, AuthorizationRow.owner == owner)

    def is_open(self, state: str) -> bool:
        """Somebody began it, and nobody has taken it."""
        with transaction(self.engine) as session:
            return session.scalar(select(AuthorizationRow.state).where(*_open(state))) is not None

    def _take(self, state: str, by: ColumnElement[bool]) -> Authorization | None:
        with transaction(self.engine) as session:
            row = session.scalar(select(AuthorizationRow).where(*_open(state), by).with_for_update())
            if row is None:
                return None
            session.delete(row)
            return Authorization(row.owner, row.verifier, row.asked, row.connection_id)


def expire_authorizations(engine: Engine, batch: int) -> int:
    """Deletes up to `batch` rows of which nobody made use in time, and returns how many. Raises `Unavailable`."""
    with transaction(engine) as session:
        late = select(AuthorizationRow.state).where(AuthorizationRow.expires_at < now())
        due = session.scalars(late.limit(batch)).all()
        return changed(session, delete(AuthorizationRow).where(AuthorizationRow.state.in_(due)))


def _open(state: str) -> tuple[ColumnElement[bool], ...]:
    return AuthorizationRow.state == _hash(state), AuthorizationRow.expires_at > now()


def _end_oldest(session: Session, owner: str) -> None:
    mine = select(AuthorizationRow.state).where(AuthorizationRow.owner == owner)
    states = session.scalars(mine.order_by(AuthorizationRow.expires_at)).all()
    session.execute(
        delete(AuthorizationRow).where(AuthorizationRow.state.in_(states[: max(0, len(states) + 1 - MOST)]))
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
