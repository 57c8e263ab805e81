"""Where the next page of a list begins, as a word that clients hand back as it is."""

import base64
import binascii
from datetime import datetime


class BadCursor(ValueError):
    """The cursor is none that we made for this list."""


def make_cursor(moment: datetime, *rest: object) -> str:
    """Of what its list is ordered by: an aware time first."""
    return base64.urlsafe_b64encode(" ".join([moment.isoformat(), *map(str, rest)]).encode()).decode()


def read_cursor(cursor: str, count: int) -> tuple[datetime, list[str]]:
    """The time, and the `count` words behind it. Raises BadCursor."""
    try:
        written, *rest = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        moment = datetime.fromisoformat(written)
    except (ValueError, binascii.Error) as error:
        raise BadCursor(cursor) from error
    if moment.tzinfo is None or len(rest) != count:
        raise BadCursor(cursor)
    return moment, rest
