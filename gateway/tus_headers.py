"""The headers of tus 1.0 (https://tus.io/protocols/resumable-upload): documented, and understood or refused as malformed."""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from gateway import intake
from gateway.models import ID
from pipeline.options import Options
from pipeline.problems import Problem

PATH = "/v1/uploads"
ALGORITHMS = ("sha1", "sha256", "md5")
_KNOWN = {"filename", "name", *Options.model_fields}
_NUMBER = re.compile(r"[0-9]{1,18}")
_PART = re.compile(rf"{PATH}/({ID[1:-1]})")


class Headers(BaseModel):
    version: str | None = Field(None, alias="Tus-Resumable", description="`1.0.0`")


class Chunk(Headers):
    """Of requests that bring bytes."""

    length: str | None = Field(None, alias="Upload-Length", description="Bytes that the upload will have.")
    checksum: str | None = Field(
        None, alias="Upload-Checksum", description="Of the body: sha1, sha256 or md5, a space, and the hash in base64."
    )


class Creation(Chunk):
    deferred: str | None = Field(None, alias="Upload-Defer-Length", description="`1`: the length is said later.")
    metadata: str | None = Field(
        None,
        alias="Upload-Metadata",
        description="Pairs with commas between them: a name, a space, a value in base64. `filename`, and any of the options.",
    )
    concat: str | None = Field(
        None,
        alias="Upload-Concat",
        description="`partial`, or `final;` and the paths of the parts with spaces between.",
    )


class Append(Chunk):
    offset: str | None = Field(None, alias="Upload-Offset", description="Bytes that are there already.")


class Override(Append):
    method: str | None = Field(None, alias="X-HTTP-Method-Override", description="PATCH, DELETE or HEAD.")


def number(name: str, field: str | None) -> int | None:
    """Raises `Problem`."""
    if field is None:
        return None
    if not _NUMBER.fullmatch(field):
        raise Problem("malformed", f"{name} is a number of bytes.")
    return int(field)


def length_of(header: Creation) -> int | None:
    """Bytes that a new upload will have, None if that is said later. Raises `Problem`."""
    if (header.length is None) == (header.deferred is None) or header.deferred not in (None, "1"):
        raise Problem("malformed", "Either Upload-Length is given or Upload-Defer-Length: 1.")
    return number("Upload-Length", header.length)


def read_metadata(field: str | None) -> tuple[str, Options]:
    """What the file is called, and what is wanted of it; other names may stand beside, with any bytes. Raises `Problem`."""
    pairs = [pair.split() for pair in (field or "").split(",") if pair.strip()]
    if any(len(pair) > 2 for pair in pairs) or len({pair[0] for pair in pairs}) < len(pairs):
        raise _bad_metadata()
    values = {pair[0]: _decoded(pair[1]) if len(pair) == 2 else b"" for pair in pairs}
    found = {name: _text(value) for name, value in values.items() if name in _KNOWN}
    return found.get("filename") or found.get("name") or "recording", intake.read_options(found)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise _bad_metadata() from None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _bad_metadata() from None


def _bad_metadata() -> Problem:
    return Problem("malformed", "Upload-Metadata is pairs of a name and a text in base64, each name once.")


def parts_of(field: str | None) -> Sequence[str] | None:
    """Ids of the parts that Upload-Concat wants to be joined, None if it does not. Raises `Problem`."""
    if field in (None, "partial"):
        return None
    kind, _, listed = (field or "").partition(";")
    if kind != "final" or not listed.split():
        raise Problem("malformed", "Upload-Concat is `partial`, or `final;` and the parts with spaces between them.")
    parts = [_part(address) for address in listed.split()]
    if len(set(parts)) < len(parts):  # else one part could be stored many times over
        raise Problem("malformed", "Upload-Concat names each part once.")
    return parts


def _part(address: str) -> str:
    try:
        found = _PART.fullmatch(urlsplit(address).path)
    except ValueError:
        found = None
    if found is None:
        raise Problem("not_found", "One of the parts is no upload of this server.")
    return found[1]


class Checksum:
    """What Upload-Checksum promises of a body. Raises `Problem` if it cannot be understood."""

    def __init__(self, field: str) -> None:
        algorithm, _, encoded = field.partition(" ")
        if algorithm not in ALGORITHMS:
            raise Problem("malformed", f"Upload-Checksum is made with one of {', '.join(ALGORITHMS)}.")
        try:
            self._expected = base64.b64decode(encoded, validate=True)
        except ValueError:
            raise Problem("malformed", "Upload-Checksum is not in base64.") from None
        self._digest: Any = hashlib.new(algorithm, usedforsecurity=False)

    def add(self, data: bytes) -> None:
        self._digest.update(data)

    def verify(self) -> None:
        if self._digest.digest() != self._expected:
            raise Problem("checksum_wrong")
