"""How long a server asks to be left alone."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(field: str | None, longest: float) -> float | None:
    """Seconds, `longest` at most, from either form of Retry-After (RFC 9110, section 10.2.3). None where it tells nothing."""
    if not field:
        return None
    if field.isdecimal():
        return min(float(field), longest)
    try:
        date = parsedate_to_datetime(field)
    except ValueError:
        return None
    return min(max((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0), longest)
