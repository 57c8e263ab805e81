"""Files on their way out."""

import unicodedata
from collections.abc import Sequence
from typing import BinaryIO
from urllib.parse import quote

import structlog
from flask import Response, request
from werkzeug.http import quote_etag

from gateway import models, ranges
from gateway.access import identity
from gateway.api import FILE, private_routes
from gateway.services import services
from pipeline.blobs import BlobMissing
from pipeline.names import safe_name
from pipeline.problems import Problem
from pipeline.work import Artifact

log = structlog.get_logger()

api = private_routes("downloads", [404, 412, 416, 422, 503])


@api.get("/download", summary="Download a file by its id", responses=FILE)
def download(query: models.FileQuery) -> Response:
    return send(services().jobs.artifact(identity().owner, query.fid))


def send(artifact: Artifact | None, *, whole: bool = False) -> Response:
    """The file, the asked parts of it, or 304 (RFC 9110, sections 13 and 14); with `whole`, never a part.

    Raises `Problem` if there is no such file (404), the client expects another (412), or it has no such part (416).
    """
    if artifact is None:
        raise Problem("not_found")
    if request.if_match and not request.if_match.contains(artifact.sha256):
        raise Problem("precondition_failed", headers={"ETag": quote_etag(artifact.sha256)})
    if request.if_none_match.contains_weak(artifact.sha256):
        return _described(Response(status=304), artifact)
    body = ranges.body([] if whole else _parts(artifact), artifact.bytes, artifact.type)
    response = _described(Response(status=body.status, content_type=artifact.type), artifact)
    response.headers.update(body.headers)
    response.headers["Content-Disposition"] = attachment(artifact.name)
    response.accept_ranges = "none" if whole else "bytes"
    response.content_length = body.length
    if request.method == "GET":
        blob = _open(artifact)
        response.call_on_close(blob.close)
        response.response = body.read(blob)
    return response


def _described(response: Response, artifact: Artifact) -> Response:
    """With what a client keeps beside its copy."""
    response.set_etag(artifact.sha256)
    response.cache_control.private = True
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _parts(artifact: Artifact) -> Sequence[range]:
    """Empty for the whole. If-Range is compared strongly, and a date in it fits nothing: no Last-Modified is ever sent."""
    fits = request.headers.get("If-Range") in (None, quote_etag(artifact.sha256))
    if request.method != "GET" or not fits:
        return []
    try:
        return ranges.asked(request.headers.get("Range"), artifact.bytes)
    except ranges.Unsatisfiable:
        headers = {"Content-Range": f"bytes */{artifact.bytes}"}
        raise Problem("range_not_satisfiable", headers=headers) from None


def _open(artifact: Artifact) -> BinaryIO:
    try:
        return services().blobs.open(artifact.blob)
    except BlobMissing:
        log.error("a blob is missing", blob=artifact.blob)
        raise Problem("not_found") from None


def attachment(name: str) -> str:
    """Content-Disposition, RFC 6266: the name, and one in ASCII for clients that know no other."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    plain = safe_name(f"recording{plain}" if plain.startswith(".") else plain)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
