"""Addresses that strangers give, and that their servers send on to."""

import re
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from werkzeug.urls import iri_to_uri

from pipeline.errors import Reject

MALFORMED = "This is not an address that a recording can be fetched from."
SCHEMES = "Recordings are fetched only from addresses that begin with http:// or https://."
CREDENTIALS = "An address with a user name or password in it is not fetched; use one that opens without."
DOWNGRADE = "This address leads from https to http, where a recording could be changed on its way."

_HOST = re.compile(r"[A-Za-z0-9._:-]+")


def check(url: str) -> str:
    """Returns `url` in ASCII (RFC 3987, section 3.1) and without fragment. Raises Reject for what is not fetched."""
    try:
        parts = urlsplit(iri_to_uri(url.strip()))
    except ValueError as error:
        raise Reject(MALFORMED) from error
    if parts.scheme not in ("http", "https"):
        raise Reject(SCHEMES)
    if "@" in parts.netloc:
        raise Reject(CREDENTIALS)
    if not _HOST.fullmatch(parts.hostname or ""):
        raise Reject(MALFORMED)
    return urlunsplit(parts._replace(fragment=""))


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
