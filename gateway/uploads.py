"""POST /upload: one file becomes a job."""

import mimetypes
from contextlib import suppress
from typing import Any
from uuid import uuid4

from flask import request

from gateway import models, multipart
from gateway.access import identity
from gateway.api import private_routes
from gateway.services import services
from pipeline import database, telemetry
from pipeline.errors import Unavailable
from pipeline.jobs import Job, NewJob
from pipeline.names import safe_name
from pipeline.problems import Problem
from pipeline.work import Artifact

api = private_routes("uploads", [400, 413, 415, 422, 503])

_FILE = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]}
_BODY = {"required": True, "content": {"multipart/form-data": {"schema": _FILE}}}


@api.post(
    "/upload", summary="Upload a recording", responses={202: models.Job}, openapi_extensions={"requestBody": _BODY}
)
def upload() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Takes exactly one file, in a field of any name. The answer comes once file and job are safe; `Location` is the job."""
    boundary = _boundary()
    request.max_content_length = services().upload_limit + multipart.OVERHEAD
    database.ping(services().jobs.engine)  # before the bytes are on their way: they would be for nothing
    job_id = uuid4().hex
    job = _create(job_id, _store(f"{job_id}-upload-0-0-original", boundary))
    return models.Job.of(job).model_dump(mode="json"), 202, {"Location": f"/v1/jobs/{job.id}"}


def _boundary() -> bytes:
    if request.mimetype != "multipart/form-data":
        raise Problem("media_type", "The file goes into a field of multipart/form-data.")
    boundary = request.mimetype_params.get("boundary")
    if not boundary or not boundary.isascii():
        raise Problem("malformed", "The Content-Type names no boundary.")
    return boundary.encode()


def _store(blob_id: str, boundary: bytes) -> Artifact:
    with services().blobs.create(blob_id) as target:
        received = multipart.receive(request.stream, boundary, target, services().upload_limit)
    name = safe_name(received.name)
    return Artifact(name, "original", _media_type(name), received.bytes, received.sha256, blob_id)


def _media_type(name: str) -> str:
    """By the extension; what is neither audio nor video by it, is bytes to us."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"


def _create(job_id: str, original: Artifact) -> Job:
    who = identity()
    new = NewJob(who.owner, original.name, original, notify=who.email, trace=telemetry.traceparent(), id=job_id)
    try:
        job, messages = services().jobs.create(new)
    except Unavailable:
        _undo(new)
        raise
    services().dispatcher.send(messages)
    return job


def _undo(new: NewJob) -> None:
    """Leaves neither row nor blob. While it is unknown whether the row was committed, the blob stays; the janitor sees to it."""
    with suppress(Unavailable):
        services().jobs.delete(new.owner, new.id)
        services().blobs.delete(new.original.blob)
