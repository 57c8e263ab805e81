"""Users and their passwords."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from auth import brake
from auth.tables import RefreshTokenRow, UserRow
from pipeline.database import transaction

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class EmailTaken(ValueError):
    """Somebody has this e-mail address already."""


class UserUnknown(LookupError):
    """Nobody has this e-mail address."""


class WrongPassword(Exception):
    """The address and the password do not belong together; which of them is wrong is not told."""


@dataclass(frozen=True)
class User:
    id: str
    """32 hexadecimal digits."""
    email: str


class Users:
    """Every method raises Unavailable when the database is away."""

    def __init__(self, engine: Engine, hasher: PasswordHasher | None = None) -> None:
        self.engine = engine
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash(secrets.token_hex())

    def add(self, email: str, password: str) -> User:
        """Raises EmailTaken, or ValueError for a malformed address or an empty password."""
        row = UserRow(email=normalise(email), password_hash=self._hash(password))
        try:
            with transaction(self.engine) as session:
                session.add(row)
        except IntegrityError as error:
            raise EmailTaken(f"{row.email} is a user already") from error
        return User(row.id, row.email)

    def ensure(self, email: str, password: str) -> User:
        """Adds the user, or gives the one there this password. Raises ValueError as `add` does."""
        try:
            return self.add(email, password)
        except EmailTaken:
            with transaction(self.engine) as session:
                row = _existing(session, email)
        if not self._matches(row.password_hash, password):
            self.set_password(email, password)
        return User(row.id, row.email)

    def verify(self, email: str, password: str) -> User:
        """The user who signs in. Raises WrongPassword or `auth.brake.TooManyFailures`.

        An unknown address takes as long as a wrong password, so that neither tells who is a user.
        """
        email = _fold(email)
        with transaction(self.engine) as session:
            brake.check(session, email)
            row = _find(session, email)
        if not self._matches(row.password_hash if row else self._nobody, password) or row is None:
            with transaction(self.engine) as session:
                brake.count(session, email)
            raise WrongPassword
        self._renew(row, password)
        return User(row.id, row.email)

    def set_password(self, email: str, password: str) -> None:
        """Also ends every session of the user. Raises UserUnknown, or ValueError for an empty password."""
        password_hash = self._hash(password)
        with transaction(self.engine) as session:
            row = _existing(session, email)
            row.password_hash = password_hash
            session.execute(delete(RefreshTokenRow).where(RefreshTokenRow.user_id == row.id))

    def remove(self, email: str) -> None:
        """Raises UserUnknown."""
        with transaction(self.engine) as session:
            session.delete(_existing(session, email))

    def list(self) -> Sequence[User]:
        """All users by address."""
        with transaction(self.engine) as session:
            return [User(row.id, row.email) for row in session.scalars(select(UserRow).order_by(UserRow.email))]

    def _hash(self, password: str) -> str:
        if not password:
            raise ValueError("the password is empty")
        return self._hasher.hash(password)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False

    def _renew(self, row: UserRow, password: str) -> None:
        """Hashes anew with today's parameters, unless the password was changed meanwhile."""
        if self._hasher.check_needs_rehash(row.password_hash):
            password_hash = self._hash(password)
            unchanged = (UserRow.id == row.id) & (UserRow.password_hash == row.password_hash)
            with transaction(self.engine) as session:
                session.execute(update(UserRow).where(unchanged).values(password_hash=password_hash))


def normalise(email: str) -> str:
    """The address as it is stored. Raises ValueError unless it looks like one (RFC 5321: at most 254 characters)."""
    folded = _fold(email)
    if len(folded) > 254 or not folded.isprintable() or not _EMAIL.fullmatch(folded):
        raise ValueError("this is not an e-mail address")
    return folded


def _find(session: Session, email: str) -> UserRow | None:
    return session.scalar(select(UserRow).where(UserRow.email == _fold(email)))


def _existing(session: Session, email: str) -> UserRow:
    row = _find(session, email)
    if row is None:
        raise UserUnknown(f"{email} is not a user")
    return row


def _fold(email: str) -> str:
    return email.strip().lower()
