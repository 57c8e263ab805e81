"""Where servers send on to from an address that a stranger gave, and what it calls what is there."""

from urllib.parse import unquote, urljoin, urlsplit

from pipeline.address import MALFORMED, check
from pipeline.errors import Reject

DOWNGRADE = "This address leads from https to http, where a recording could be changed on its way."


def follow(url: str, location: str) -> str:
    """Where a redirect from `url` leads (RFC 9110, section 10.2.2). Raises Reject for what is not fetched."""
    try:
        target = check(urljoin(url, location))
    except ValueError as error:
        raise Reject(MALFORMED) from error
    if url.startswith("https:") and not target.startswith("https:"):
        raise Reject(DOWNGRADE)
    return target


def last_segment(url: str) -> str:
    """The last part of the path, as people read it."""
    return unquote(urlsplit(url).path.rpartition("/")[2])
