"""/v1/jobs: what became of uploads."""

from typing import Any

import structlog
from flask import Response

from gateway import models
from gateway.access import identity
from gateway.api import FILE, private_routes
from gateway.downloads import send
from gateway.services import services
from pipeline.errors import Unavailable
from pipeline.jobs import BadCursor, Job
from pipeline.problems import Problem

log = structlog.get_logger()

api = private_routes("jobs", [404, 422, 503])


@api.get("/v1/jobs", summary="List jobs, newest first", responses={200: models.JobList})
def list_jobs(query: models.ListQuery) -> dict[str, Any]:
    try:
        page, cursor = services().jobs.list(identity().owner, query.cursor, query.limit)
    except BadCursor:
        raise Problem("invalid", "The cursor is not one of ours.") from None
    return models.JobList(items=[models.Job.of(job) for job in page], next=cursor).model_dump(mode="json")


@api.get("/v1/jobs/<id>", summary="Look at a job", responses={200: models.Job})
def get_job(path: models.JobPath) -> dict[str, Any]:
    return _answer(services().jobs.get(identity().owner, path.id))


@api.post("/v1/jobs/<id>/cancel", summary="Cancel a job", responses={200: models.Job})
def cancel_job(path: models.JobPath) -> dict[str, Any]:
    """Work that runs stops within seconds. A job that has ended stays as it is."""
    return _answer(services().jobs.cancel(identity().owner, path.id))


@api.delete("/v1/jobs/<id>", summary="Delete a job and its files", responses={204: None})
def delete_job(path: models.JobPath) -> tuple[str, int]:
    blobs = services().jobs.delete(identity().owner, path.id)
    if blobs is None:
        raise Problem("not_found")
    try:
        for blob in blobs:
            services().blobs.delete(blob)
    except Unavailable as error:
        log.warning("blobs left to the janitor", cause=str(error))
    return "", 204


@api.get("/v1/jobs/<id>/artifacts/<name>", summary="Download a file of a job", responses=FILE)
def get_artifact(path: models.ArtifactPath) -> Response:
    return send(services().jobs.named_artifact(identity().owner, path.id, path.name))


def _answer(job: Job | None) -> dict[str, Any]:
    if job is None:
        raise Problem("not_found")
    return models.Job.of(job).model_dump(mode="json")
