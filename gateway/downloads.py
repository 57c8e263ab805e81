"""Files on their way out."""

import unicodedata
from urllib.parse import quote

import structlog
from flask import Response, request
from werkzeug.wsgi import FileWrapper

from gateway import models
from gateway.access import identity
from gateway.api import FILE, private_routes
from gateway.services import services
from pipeline.blobs import CHUNK, BlobMissing
from pipeline.names import safe_name
from pipeline.problems import Problem
from pipeline.work import Artifact

log = structlog.get_logger()

api = private_routes("downloads", [404, 416, 422, 503])


@api.get("/download", summary="Download a file by its id", responses=FILE)
def download(query: models.FileQuery) -> Response:
    return send(services().jobs.artifact(identity().owner, query.fid))


def send(artifact: Artifact | None) -> Response:
    """The file, the asked part of it, or 304 (RFC 9110, sections 13 and 14). Raises `Problem` if there is none, or 416."""
    if artifact is None:
        raise Problem("not_found")
    response = Response(_reader(artifact), content_type=artifact.type)
    response.content_length = artifact.bytes
    response.set_etag(artifact.sha256)
    response.headers["Content-Disposition"] = _attachment(artifact.name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control.private = True
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=artifact.bytes if _one_range() else None)
    except BaseException:
        response.close()
        raise
    return response


def _reader(artifact: Artifact) -> FileWrapper:
    try:
        return FileWrapper(services().blobs.open(artifact.blob), CHUNK)
    except BlobMissing:
        log.error("a blob is missing", blob=artifact.blob)
        raise Problem("not_found") from None


def _one_range() -> bool:
    """Ranges of other units or more than one are ignored, and the whole file sent, as RFC 9110, 14.2 provides."""
    asked = request.range
    return asked is not None and asked.units == "bytes" and len(asked.ranges) == 1


def _attachment(name: str) -> str:
    """Content-Disposition, RFC 6266: the name, and one in ASCII for clients that know no other."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip()
    plain = safe_name(f"recording{plain}" if plain.startswith(".") else plain)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
