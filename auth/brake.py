"""Slows down guessing of passwords: a few wrong ones in a short window, then none is looked at until the window ends.

Counted in the database, so that it holds over all replicas. Addresses share a fixed number of buckets by their hash:
unknown addresses are slowed like known ones, which tells a stranger nothing, and no flood of addresses grows the table.
"""

import hashlib
from datetime import timedelta

from sqlalchemy.orm import Session

from auth.tables import BrakeRow
from pipeline.database import now

BUCKETS = 4096
"""As many rows as the migrations made."""
FAILURES = 10
WINDOW = timedelta(seconds=30)
"""Also the longest time for which a stranger's guesses can shut somebody out."""


class TooManyFailures(Exception):
    """Passwords for this address are not looked at for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many wrong passwords")
        self.seconds = seconds


def check(session: Session, email: str) -> None:
    """Raises TooManyFailures."""
    brake = session.get_one(BrakeRow, _bucket(email))
    left = (brake.until - now()).total_seconds()
    if brake.failures >= FAILURES and left > 0:
        raise TooManyFailures(left)


def count(session: Session, email: str) -> None:
    """Counts a wrong password; the first one opens a window."""
    brake = session.get_one(BrakeRow, _bucket(email), with_for_update=True)
    if brake.until <= now():
        brake.failures, brake.until = 0, now() + WINDOW
    brake.failures += 1


def _bucket(email: str) -> int:
    return int.from_bytes(hashlib.sha256(email.encode()).digest()[:4]) % BUCKETS
