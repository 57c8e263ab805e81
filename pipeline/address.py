"""Addresses that strangers give."""

import re
from urllib.parse import urlsplit, urlunsplit

from werkzeug.urls import iri_to_uri

from pipeline.errors import Reject

MALFORMED = "This is not an address that anything can be reached by."
SCHEMES = "Only addresses that begin with http:// or https:// are used."
CREDENTIALS = "An address with a user name or password in it is not used; give one that opens without."

_HOST = re.compile(r"[A-Za-z0-9._:-]+")


def check(url: str) -> str:
    """Returns `url` in ASCII (RFC 3987, section 3.1) and without fragment. Raises Reject for what is not used."""
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
