"""What happens to jobs, as Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each event is a job as it is now, so that one told twice does no harm; none is left out.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response, request
from flask_openapi3.types import ResponseDict

from gateway import models
from gateway.access import identity
from gateway.api import private_routes
from gateway.listeners import Event, News
from gateway.services import services
from pipeline.catalog import ENDED
from pipeline.database import now
from pipeline.jobs import Job, Jobs
from pipeline.library import SETTLE
from pipeline.problems import Problem

PAGE = 200
"""Events that one look finds at most: all listeners share the thread that looks."""

_STREAM: ResponseDict = {
    200: {"description": "Events for as long as the client listens.", "content": {"text/event-stream": {}}}
}

api = private_routes("events", [404, 422, 429, 503])


@api.get("/v1/events", summary="Listen to all of your jobs", responses=_STREAM)
def listen() -> Response:
    """`job` for each that changes, `deleted` for each that goes; with `Last-Event-ID`, also what happened meanwhile."""
    return _stream(JobsOf(services().jobs, identity().owner), _resumed(request.headers.get("Last-Event-ID")))


@api.get(
    "/v1/jobs/<id>/events",
    summary="Listen to a job",
    responses={**_STREAM, 204: {"description": "The job has ended, and `Last-Event-ID` says that you know."}},
)
def listen_to_job(path: models.JobPath) -> Response:
    """The job as it is, then whenever it changes, until it has ended."""
    job = services().jobs.get(identity().owner, path.id)
    if job is None:
        raise Problem("not_found")
    known = request.headers.get("Last-Event-ID")
    if job.state in ENDED and known == _key(job.changed_at, job.id):
        return Response(status=204)  # by which an EventSource knows that it need not come back
    return _stream(OneJob(services().jobs, identity().owner, path.id), known)


def wait_for(owner: str, job_id: str, seconds: float) -> Response:
    """The job once it has ended, or as it is after `seconds`."""
    ready = Ended(services().jobs, owner, job_id)
    return services().hub.wait(owner, ready, time.monotonic() + seconds)


def _stream(source: "JobsOf | OneJob", cursor: str | None) -> Response:
    """As long as the client's token is good."""
    until = time.monotonic() + identity().expires - time.time()
    return services().hub.stream(source.owner, source, cursor, until)


@dataclass(frozen=True)
class OneJob:
    """A source of what happens to one job; its cursor is the id of the last event."""

    jobs: Jobs
    owner: str
    job_id: str

    def __call__(self, cursor: str | None) -> News:
        job = self.jobs.get(self.owner, self.job_id)
        if job is None:
            return [_deleted(self.job_id, now())], None, True
        event = _told(job)
        return [event] if event.id != cursor else [], event.id, job.state in ENDED


@dataclass(frozen=True)
class JobsOf:
    """A source of what happens to all jobs of one owner."""

    jobs: Jobs
    owner: str

    def __call__(self, cursor: str | None) -> News:
        place = _Place.read(cursor)
        known = [(_time(event_id), event_id.partition("/")[2]) for event_id in place.told]
        found = [_told(job) for job in self.jobs.changed(self.owner, place.since, PAGE, known)]
        found += [_deleted(job_id, at) for job_id, at in self.jobs.deleted(self.owner, place.since)]
        fresh = sorted((event for event in found if event.id not in place.told), key=lambda event: event.id)[:PAGE]
        return fresh, str(place.after(fresh)), False


@dataclass(frozen=True)
class Ended:
    """Gives the job once it has ended, or time is up. Raises `Problem` if there is none."""

    jobs: Jobs
    owner: str
    job_id: str

    def __call__(self, final: bool) -> Response | None:
        job = self.jobs.get(self.owner, self.job_id)
        if job is None:
            raise Problem("not_found")
        if job.state not in ENDED and not final:
            return None
        return Response(models.Job.of(job).model_dump_json() + "\n", content_type="application/json")


@dataclass(frozen=True)
class _Place:
    """Everything before `since` was told, and after it the events `told`."""

    since: datetime
    told: frozenset[str]

    @classmethod
    def read(cls, cursor: str | None) -> "_Place":
        if cursor is None:
            return cls(now() - SETTLE, frozenset())
        since, *told = cursor.split()
        return cls(datetime.fromisoformat(since), frozenset(told))

    def after(self, fresh: Sequence[Event]) -> "_Place":
        """Where all but what still settles was told; after a full page, not beyond its end."""
        since = now() - SETTLE
        if len(fresh) == PAGE:
            since = min(since, _time(fresh[-1].id))
        told = self.told.union(event.id for event in fresh)
        return _Place(since, frozenset(event_id for event_id in told if _time(event_id) >= since))

    def __str__(self) -> str:
        return " ".join([self.since.isoformat(), *sorted(self.told)])


def _resumed(event_id: str | None) -> str | None:
    """The cursor of who has heard this event last. Raises `Problem` for what is no id of ours."""
    if not event_id:
        return None
    try:
        return str(_Place(_time(event_id) - SETTLE, frozenset([event_id])))
    except (ValueError, TypeError, OverflowError):
        raise Problem("invalid", "Last-Event-ID: not the id of an event.") from None


def _time(event_id: str) -> datetime:
    moment = datetime.fromisoformat(event_id.partition("/")[0])
    if moment.tzinfo is None or " " in event_id:
        raise ValueError(event_id)
    return moment.astimezone(UTC)


def _key(moment: datetime, job_id: str) -> str:
    return f"{moment.isoformat()}/{job_id}"


def _told(job: Job) -> Event:
    return Event(_key(job.changed_at, job.id), "job", models.Job.of(job).model_dump_json())


def _deleted(job_id: str, at: datetime) -> Event:
    return Event(_key(at, job_id), "deleted", json.dumps({"id": job_id}))
