"""Access tokens, which anybody can check with the published keys, and the refresh tokens that bring new ones."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta

import jwt
from sqlalchemy import Delete, Engine, delete
from sqlalchemy.orm import Session

from auth.keys import Keys
from auth.tables import RefreshTokenRow, UserRow
from auth.users import User
from pipeline.database import now, transaction

ISSUER = AUDIENCE = "spool"
REFRESH_LIFE = timedelta(days=30)


class TokenRefused(Exception):
    """The refresh token is unknown, expired, revoked or was used before."""


@dataclass(frozen=True)
class Grant:
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token is good for."""


class Tokens:
    """Grants tokens; access tokens live for `seconds`. Every method raises Unavailable when the database is away."""

    def __init__(self, engine: Engine, keys: Keys, seconds: int) -> None:
        self.keys = keys
        self._engine = engine
        self._seconds = seconds

    def issue(self, user: User) -> Grant:
        """Begins a session of a user who signed in."""
        with transaction(self._engine) as session:
            session.execute(_expired(user.id))
            refresh = _add_refresh(session, user.id, uuid.uuid4().hex)
        return self._grant(user, refresh)

    def refresh(self, token: str) -> Grant:
        """Trades a refresh token for new tokens; each can be traded once.

        One that is presented again was stolen, or the thief came first: the whole family is revoked (RFC 9700, 4.14.2).
        Raises TokenRefused.
        """
        with transaction(self._engine) as session:
            traded = _trade(session, token)
        if traded is None:
            raise TokenRefused
        return self._grant(*traded)

    def revoke(self, token: str) -> None:
        """Ends the session this refresh token belongs to; quiet if there is none (RFC 7009, 2.2)."""
        with transaction(self._engine) as session:
            row = session.get(RefreshTokenRow, _digest(token))
            if row:
                session.execute(_family(row))

    def _grant(self, user: User, refresh: str) -> Grant:
        return Grant(self._sign(user), refresh, self._seconds)

    def _sign(self, user: User) -> str:
        issued, key = now(), self.keys.signing
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user.id,
            "email": user.email,
            "iat": issued,
            "exp": issued + timedelta(seconds=self._seconds),
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.id})


def _trade(session: Session, token: str) -> tuple[User, str] | None:
    row = session.get(RefreshTokenRow, _digest(token), with_for_update=True)
    if row is None or row.expires_at <= now():
        return None
    if row.rotated_at is not None:
        session.execute(_family(row))
        return None
    row.rotated_at = now()
    user = session.get_one(UserRow, row.user_id)
    return User(user.id, user.email), _add_refresh(session, user.id, row.family)


def _add_refresh(session: Session, user_id: str, family: str) -> str:
    token = secrets.token_urlsafe(32)
    session.add(RefreshTokenRow(hash=_digest(token), family=family, user_id=user_id, expires_at=now() + REFRESH_LIFE))
    return token


def _family(row: RefreshTokenRow) -> Delete:
    return delete(RefreshTokenRow).where(RefreshTokenRow.family == row.family)


def _expired(user_id: str) -> Delete:
    return delete(RefreshTokenRow).where(RefreshTokenRow.user_id == user_id, RefreshTokenRow.expires_at <= now())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
