"""/v1/jobs/{id}/transcript: what was said, corrected by its owner or made out once more by a machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self
from uuid import uuid4

import structlog
from flask import Response, request
from pydantic import BaseModel, Field
from werkzeug.http import quote_etag

from gateway import intake, models
from gateway.access import identity
from gateway.api import UNCHANGED, private_routes, problems
from gateway.correction import Again, Correction, corrected
from gateway.glossary import with_glossary
from gateway.jobs import Begun, run_again
from gateway.services import services
from gateway.uploads import Answer, accepted
from pipeline import blobs, transcripts
from pipeline.blobs import BlobMissing
from pipeline.correction import LONGEST_BODY
from pipeline.errors import Unavailable
from pipeline.jobs import Job, Settled
from pipeline.options import Options
from pipeline.problems import Problem
from pipeline.transcript import MEDIA_TYPE, About, Layer, Segment, write_layer
from pipeline.transcripts import Stale
from pipeline.work import Artifact

log = structlog.get_logger()

api = private_routes("transcripts", [404, 503])


class Known(BaseModel):
    """What is known of a version as a whole."""

    version: int = Field(description="Counts from 1; also the ETag.")
    author: Literal["machine", "you"]
    model: str | None = Field(description="Null for what a person wrote.")
    language: str | None
    translated: bool = Field(description="The text is English, whatever was spoken.")


class Version(Known):
    at: datetime = Field(description="When it was made, RFC 3339, UTC.")
    bytes: int

    @classmethod
    def of(cls, found: transcripts.Version) -> Self:
        return cls(**_known(found), at=found.facts.at, bytes=found.layer.bytes)


class VersionList(BaseModel):
    items: list[Version]


class Transcript(Known):
    timed: bool = Field(
        description="Times are the model's own; otherwise they are shared out by the length of the text."
    )
    duration: float = Field(description="Seconds of the recording.")
    segments: list[Segment] = Field(description="What is not known of one is left out.")


class VersionQuery(BaseModel):
    version: int | None = Field(None, ge=1, description="An older one; the newest if unset.")


class Expected(BaseModel):
    if_match: str | None = Field(
        None, alias="If-Match", description="The ETag of the version that is corrected, or `*`."
    )


@api.before_request
def _let_transcripts_in() -> None:
    if request.method == "PUT":
        request.max_content_length = LONGEST_BODY


@api.get(
    "/v1/jobs/<id>/transcript",
    summary="Read a transcript",
    responses={200: Transcript, **UNCHANGED, **problems(422)},
)
def get_transcript(path: models.JobPath, query: VersionQuery) -> Response:
    """The newest version, or an older one. Its number is the ETag."""
    found = _version(path.id, query.version)
    number = str(found.facts.version)
    if request.if_none_match.contains_weak(number):
        response = Response(status=304)
    else:
        response = Response(_body(found), content_type="application/json")
    response.set_etag(number)
    response.cache_control.private = True
    response.cache_control.no_cache = True
    return response


@api.get("/v1/jobs/<id>/transcript/versions", summary="List the versions of a transcript", responses={200: VersionList})
def list_versions(path: models.JobPath) -> dict[str, Any]:
    """Newest first."""
    return VersionList(items=[Version.of(found) for found in _versions(path.id)]).model_dump(mode="json")


@api.put(
    "/v1/jobs/<id>/transcript",
    summary="Correct a transcript",
    responses={200: Version, **problems(409, 412, 413, 422, 428, 429, 507)},
)
def put_transcript(path: models.JobPath, header: Expected, body: Correction) -> Answer:  # noqa: ARG001
    """Makes a new version, beside those that are there, and writes all formats anew from it.

    `If-Match` (RFC 9110) names the version that it was made of: what another has written meanwhile is not lost.
    """
    if not request.if_match:
        raise Problem("precondition_required", "If-Match has to name the version that is corrected.")
    newest = _version(path.id)
    number = newest.facts.version
    if not request.if_match.contains(str(number)):
        raise _stale(number)
    with _opened(newest.layer) as layer:
        about = replace(layer.about, model=None, language=body.language or layer.about.language)
        segments = corrected(body.segments, layer.segments(), about.duration)
        made = _store(path.id, layer.path.with_name("corrected"), about, segments)
    version = _commit(path.id, made, about, None if request.if_match.star_tag else number)
    return Version.of(version).model_dump(mode="json"), 200, {"ETag": quote_etag(str(version.facts.version))}


@api.post(
    "/v1/jobs/<id>/transcribe",
    summary="Transcribe a recording again",
    responses={202: models.Job, **problems(409, 413, 422, 429, 501, 507)},
)
def transcribe_again(path: models.JobPath, body: Again) -> Answer:
    """With another model, language or wording, and without converting again; what is there stays until it is replaced."""

    def again(owner: str, job: Job) -> Begun | None:
        asked = {**job.options.kept(), **body.model_dump(exclude_unset=True), "transcribe": True}
        wanted = with_glossary(Options.model_validate(asked))
        return services().transcripts.again(owner, job.id, wanted, intake.check(wanted))

    job = run_again(path.id, again)
    services().remove_soon()
    return accepted(job)


def _versions(job_id: str) -> list[transcripts.Version]:
    """Newest first. Raises `Problem` 404 where there is none."""
    found = services().transcripts.versions(identity().owner, job_id)
    if not found:
        raise Problem("not_found")
    return list(found)


def _version(job_id: str, number: int | None = None) -> transcripts.Version:
    for found in _versions(job_id):
        if number in (None, found.facts.version):
            return found
    raise Problem("not_found", "There is no such version.")


def _known(found: transcripts.Version) -> dict[str, Any]:
    facts = found.facts.model_dump(include={"version", "model", "language", "translated"})
    return {**facts, "author": "you" if found.facts.author else "machine"}


def _stale(current: int) -> Problem:
    headers = {"ETag": quote_etag(str(current))}
    return Problem("precondition_failed", f"The newest version is {current}.", headers=headers, version=current)


@contextmanager
def _opened(layer: Artifact) -> Iterator[Layer]:
    """In a folder of its own, which goes with the block."""
    with TemporaryDirectory(dir=services().settings.scratch) as folder:
        path = Path(folder, "layer")
        try:
            services().blobs.fetch(layer.blob, path)
        except BlobMissing:
            log.error("a blob is missing", blob=layer.blob)
            raise Problem("not_found") from None
        yield Layer(path)


def _body(found: transcripts.Version) -> bytes:
    """JSON; a segment's line in the layer is what is answered of it."""
    with _opened(found.layer) as layer:
        about = layer.about
        head = {**_known(found), "timed": about.timed, "duration": about.duration}
        with layer.path.open("rb") as file:
            next(file)
            segments = b",".join(line.rstrip() for line in file)
    return json.dumps(head)[:-1].encode() + b', "segments": [' + segments + b"]}\n"


def _store(job_id: str, path: Path, about: About, segments: list[Segment]) -> Artifact:
    """Raises `Problem` where there is no room, `Unavailable`."""
    write_layer(path, about, segments)
    intake.more(path.stat().st_size)
    blob = f"{job_id}-layer-{uuid4().hex}"
    size, sha256 = blobs.store(services().blobs, blob, path)
    return Artifact("", "layer", MEDIA_TYPE, size, sha256, blob)


def _commit(job_id: str, made: Artifact, about: About, base: int | None) -> transcripts.Version:
    """Raises `Problem`, `Unavailable`; then the layer is not kept."""
    try:
        found = services().transcripts.correct(identity().owner, job_id, made, about, base)
    except (Stale, Settled, Unavailable) as error:
        intake.discard([made.blob])
        match error:
            case Stale():
                raise _stale(error.current) from None
            case Settled():
                raise Problem("conflict", str(error)) from None
        raise
    if found is None:
        intake.discard([made.blob])
        raise Problem("not_found")
    version, messages = found
    services().dispatcher.send(messages)
    return version
