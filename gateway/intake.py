"""What all ways in have in common: who may send how much, and how bytes become a job."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from gateway.access import identity
from gateway.covers import Cover
from gateway.glossary import with_glossary
from gateway.services import services
from gateway.webhooks import name_webhook
from pipeline import telemetry
from pipeline.accounts import QuotaExceeded
from pipeline.errors import Unavailable
from pipeline.jobs import Job, NewJob
from pipeline.names import media_type, safe_name
from pipeline.options import Options, others, reachable
from pipeline.problems import Problem
from pipeline.speech_models import Choice, Unfit
from pipeline.work import Artifact, NextTask

_QUOTAS = {
    "stored_bytes": "quota_stored",
    "day_bytes": "quota_day",
    "jobs": "quota_jobs",
    "month_minutes": "quota_minutes",
    "day_mails": "quota_mails",
}


def admit(length: int | None) -> int:
    """How many bytes may come. Asked before any of them is read; `length` is how many are announced, None if that is unknown.

    Raises `Problem` 413, 429 or 507 with the figures, or `Unavailable`.
    """
    with admitted(length) as room:
        return room


def more(length: int | None) -> int:
    """How many bytes an upload that has begun may get beside those it has; as `admit`."""
    check_room(length or 0)
    with _quotas():
        return min(services().settings.upload_limit, services().accounts.more(identity().owner, length or 0))


@contextmanager
def admitted(length: int | None) -> Iterator[int]:
    """As `admit`; while the block lasts, other uploads of the same user find these bytes counted."""
    limit = services().settings.upload_limit
    if (length or 0) > limit:
        raise Problem("too_large", limit=limit, asked=length)
    check_room(length or 0)
    with _quotas(), services().accounts.admitted(identity().owner, length, limit) as room:
        yield min(limit, room)


@contextmanager
def _quotas() -> Iterator[None]:
    try:
        yield
    except QuotaExceeded as quota:
        raise _over(quota) from None


def _over(quota: QuotaExceeded) -> Problem:
    headers = {"Retry-After": str(quota.seconds)} if quota.seconds else None
    return Problem(
        _QUOTAS[quota.quota], headers=headers, quota=quota.quota, limit=quota.limit, used=quota.used, asked=quota.asked
    )


def check_room(length: int) -> None:
    """Raises `Problem` 507 if the store has not so many bytes to spare."""
    free, reserve = services().blobs.free(), services().settings.free_bytes
    if free is not None and free - length < reserve:
        raise Problem("store_full", free=max(0, free - reserve), asked=length)


def original(name: str, size: int, sha256: str, blob: str) -> Artifact:
    """The artifact that an upload becomes; `name` is what the client calls it."""
    safe = safe_name(name)
    return Artifact(safe, "original", media_type(safe), size, sha256, blob)


def read_options(given: Mapping[str, Any]) -> Options:
    """Of fields and metadata, which may hold other things too. Raises `Problem`."""
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> Problem:
    """Says what the first mistake is."""
    first = error.errors()[0]
    return Problem("invalid", f"{_place(first['loc'])}: {first['msg']}")


def _place(loc: Sequence[int | str]) -> str:
    """The field; of a list of things with fields, which of them too, counted from 0."""
    return ".".join(map(str, loc if len(loc) > 2 and isinstance(loc[1], int) else loc[:1])) or "the body"


def accept(found: Artifact, wanted: Options, cover: Cover | None = None, upload: str | None = None) -> Job:
    """Makes a job of bytes that are safe in the blob store. Raises `Problem`, `Unavailable`; then neither row nor blob stay.

    `upload` is the resumable upload that this ends; its bytes stay in any case.
    """
    job_id = uuid4().hex
    blobs = [found.blob, *([f"{job_id}-cover"] if cover else [])]
    try:
        picture = cover.store(services().blobs, blobs[-1]) if cover else None
        new = NewJob(**_common(wanted, found.name), original=found, cover=picture, upload=upload, id=job_id)
        return start(new)
    except (Problem, Unavailable):
        if not upload:
            _undo(identity().owner, job_id, blobs)
        raise


def accept_address(url: str, wanted: Options) -> Job:
    """Makes a job that fetches its recording from `url`. Raises `Problem`, `Unavailable`."""
    return start(
        NewJob(**_common(wanted, "recording"), first=NextTask("fetch", args={"url": url, "limit": admit(None)}))
    )


def check_model(wanted: Options) -> None:
    """Raises `Problem` 422 if there is no such speech model here, or it cannot do what is asked of it."""
    if not wanted.transcribe:
        return
    choice = Choice.of(services().settings)
    try:
        choice.fitting(wanted)
    except Unfit as error:
        raise Problem("invalid", f"{error.option}: {error.reason}", models=choice.names) from None


def check(wanted: Options) -> int:
    """How many others hear of the job. A webhook that it names is there by then.

    Raises `Problem` 429 if they are too many for today, 422 as `check_model`, and as `name_webhook`.
    """
    check_model(wanted)
    name_webhook(wanted)
    return check_mails(wanted)


def check_mails(wanted: Options) -> int:
    """As `check`, for a job that is there already and runs again."""
    count = others(wanted.notify, identity().email)
    with _quotas():
        services().accounts.admit_mails(identity().owner, count)
    return count


def told(notify: Sequence[str] | None) -> tuple[str, ...]:
    """Who hears of a job: the user, where it is not said who."""
    return reachable(identity().email) if notify is None else tuple(notify)


def _common(wanted: Options, name: str) -> dict[str, Any]:
    who = identity()
    return {
        "owner": who.owner,
        "title": wanted.title or name,
        "options": with_glossary(wanted).model_copy(update={"notify": told(wanted.notify)}),
        "trace": telemetry.traceparent(),
        "mails": check(wanted),
    }


def start(new: NewJob) -> Job:
    job, messages = services().jobs.create(new)
    services().dispatcher.send(messages)
    if new.original and new.original.blob not in {made.blob for made in job.artifacts}:
        services().remove_soon()
    return job


def _undo(owner: str, job_id: str, blobs: Sequence[str]) -> None:
    """While it is unknown whether the row was committed, all stays as it is; the janitor sees to it."""
    with suppress(Unavailable):
        services().jobs.delete(owner, job_id)
        discard(blobs)


def discard(blobs: Sequence[str]) -> None:
    """Lets go what no row names; what cannot be noted now, the janitor finds."""
    with suppress(Unavailable):
        services().dispatcher.tasks.discard(blobs)
        services().remove_soon()
