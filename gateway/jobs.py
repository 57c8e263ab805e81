"""/v1/jobs: what became of uploads."""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Response

from gateway import events, intake, models
from gateway.access import identity
from gateway.api import FILE, private_routes
from gateway.archive import ARCHIVE, send_archive
from gateway.downloads import send
from gateway.services import services
from gateway.uploads import Answer, accepted
from gateway.webhooks import name_webhook
from pipeline.cursors import BadCursor
from pipeline.jobs import Job, Settled
from pipeline.messages import Message
from pipeline.problems import Problem

Begun = tuple[Job, Sequence[Message]]
"""A job that is worked on again, and what is to be sent for that."""

api = private_routes("jobs", [404, 409, 413, 422, 429, 501, 503, 507])


@api.get("/v1/jobs", summary="List jobs, newest first", responses={200: models.JobList})
def list_jobs(query: models.ListQuery) -> dict[str, Any]:
    try:
        page, cursor = services().jobs.list(identity().owner, query.cursor, query.limit)
    except BadCursor:
        raise Problem("invalid", "The cursor is not one of ours.") from None
    return models.JobList(items=[models.Job.of(job) for job in page], next=cursor).model_dump(mode="json")


@api.post("/v1/jobs", summary="Fetch a recording by its address", responses={202: models.Job})
def create_job(body: models.Address) -> Answer:
    """The answer comes at once; fetching is the job's first stage."""
    return accepted(intake.accept_address(str(body.url), body.options()))


@api.get("/v1/jobs/<id>", summary="Look at a job", responses={200: models.Job})
def get_job(path: models.JobPath, query: models.WaitQuery) -> dict[str, Any] | Response:
    if query.wait:
        return events.wait_for(identity().owner, path.id, query.wait)
    return _answer(services().jobs.get(identity().owner, path.id))


@api.post("/v1/jobs/<id>/cancel", summary="Cancel a job", responses={200: models.Job})
def cancel_job(path: models.JobPath) -> dict[str, Any]:
    """Work that runs stops within seconds. A job that has ended stays as it is."""
    return _answer(services().jobs.cancel(identity().owner, path.id))


@api.post("/v1/jobs/<id>/retry", summary="Run a failed job again", responses={202: models.Job})
def retry_job(path: models.JobPath) -> tuple[dict[str, Any], int]:
    """From the stage that failed; what was made stays. A cancelled job goes on where it was."""

    def retry(owner: str, job: Job) -> Begun | None:
        name_webhook(job.options)
        return services().jobs.retry(owner, job.id, intake.check_mails(job.options))

    return _answer(run_again(path.id, retry)), 202


def run_again(job_id: str, begin: Callable[[str, Job], Begun | None]) -> Job:
    """Has `begin` work on a job of the caller's once more; it is given the owner and the job.

    Raises `Problem` 404, 409, and as `intake.admit`.
    """
    intake.admit(0)
    owner = identity().owner
    job = services().jobs.get(owner, job_id)
    try:
        found = begin(owner, job) if job else None
    except Settled as error:
        raise Problem("conflict", str(error)) from None
    if found is None:
        raise Problem("not_found")
    job, messages = found
    services().dispatcher.send(messages)
    return job


@api.delete("/v1/jobs/<id>", summary="Delete a job and its files", responses={204: None})
def delete_job(path: models.JobPath) -> tuple[str, int]:
    if not services().jobs.delete(identity().owner, path.id):
        raise Problem("not_found")
    services().remove_soon()
    return "", 204


@api.get("/v1/jobs/<id>/artifacts/<name>", summary="Download a file of a job", responses=FILE)
def get_artifact(path: models.ArtifactPath) -> Response:
    return send(services().jobs.named_artifact(identity().owner, path.id, path.name))


@api.get("/v1/jobs/<id>/archive", summary="Download all files of a job as one zip", responses=ARCHIVE)
def get_archive(path: models.JobPath) -> Response:
    return send_archive(services().jobs.get(identity().owner, path.id))


def _answer(job: Job | None) -> dict[str, Any]:
    if job is None:
        raise Problem("not_found")
    return models.Job.of(job).model_dump(mode="json")
