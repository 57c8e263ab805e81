"""Where the next page of a list begins, as a word that clients hand back as it is."""

import base64
import binascii
from datetime import UTC, datetime

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Between them lies whatever happens here; and they are far enough from the ends of what Python and databases can reckon with."""


class BadCursor(ValueError):
    """The cursor is none that we made for this list."""


def make_cursor(moment: datetime, *rest: object) -> str:
    """Of what its list is ordered by: an aware time first."""
    return base64.urlsafe_b64encode(" ".join([moment.isoformat(), *map(str, rest)]).encode()).decode()


def read_cursor(cursor: str, count: int) -> tuple[datetime, list[str]]:
    """The time, and the `count` words behind it. Raises BadCursor."""
    try:
        written, *rest = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
    except (ValueError, binascii.Error) as error:
        raise BadCursor(cursor) from error
    if len(rest) != count:
        raise BadCursor(cursor)
    return read_moment(written), rest


def read_moment(written: str) -> datetime:
    """The aware time, UTC, that a cursor has. Raises BadCursor."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError as error:
        raise BadCursor(written) from error
    if moment.tzinfo is None or not EARLIEST <= moment <= LATEST:
        raise BadCursor(written)
    return moment.astimezone(UTC)
