"""/v1/exports: all that a user has, at once; and what has changed since."""

from datetime import datetime
from typing import Any, Literal, Self

from flask import Response
from pydantic import Field

from gateway import intake, models
from gateway.access import identity
from gateway.api import private_routes
from gateway.archive import ARCHIVE
from gateway.export_archive import send_export
from gateway.services import services
from pipeline import library, telemetry
from pipeline.cursors import BadCursor
from pipeline.database import now
from pipeline.exports import MOST_OPEN, TooManyExports, Totals
from pipeline.jobs import Job, NewJob
from pipeline.library import CursorExpired, Place, Wanted
from pipeline.options import Addresses, Options
from pipeline.problems import Problem
from pipeline.work import Artifact, NextTask

Answer = tuple[dict[str, Any], int, dict[str, str]]

api = private_routes("exports", [404, 409, 410, 422, 429, 503, 507])


class NewExport(Wanted):
    """What an export is to have."""

    notify: Addresses | None = Field(
        None, description="Who gets a mail when it is ready: your own address if unset, nobody if empty."
    )

    @property
    def wanted(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude={"notify"}, exclude_defaults=True)


class Manifest(models.Answer):
    """A list of all files, as JSON lines or as a table."""

    name: str
    type: str = Field(description="Media type.")
    bytes: int
    sha256: str
    fid: str = Field(description="What `/download` takes.")
    href: str = Field(description="Path of the file on this server.")

    @classmethod
    def of(cls, found: Artifact) -> Self:
        return cls.model_validate({**vars(found), "fid": found.id, "href": _href(found)})


class Export(models.Answer):
    """A list of files, and the files. Times are RFC 3339, UTC."""

    id: str
    state: models.State
    percent: int = Field(ge=0, le=100)
    reason: str | None = Field(description="Why it failed, for people.")
    title: str
    created_at: datetime
    finished_at: datetime | None
    files: int | None = Field(description="How many there are, once that is known.")
    bytes: int | None = Field(description="Of all files.")
    jobs: int | None = Field(description="Of how many jobs they are.")
    cursor: str | None = Field(description="From which on there may be more: for `since`, and for `changes`.")
    manifests: list[Manifest]
    archive: str | None = Field(description="Path of all files as one zip, once the export is done.")
    link: str | None = Field(description="The same zip, for whoever has the link; no sign-in is needed.")

    @classmethod
    def of(cls, job: Job) -> Self:
        totals = next((Totals.model_validate(made.facts).model_dump() for made in job.artifacts), {})
        is_done = job.state == "done"
        return cls.model_validate(
            {
                **dict.fromkeys(Totals.model_fields),
                **vars(job),
                **totals,
                "manifests": [Manifest.of(made) for made in job.artifacts],
                "archive": f"/v1/exports/{job.id}/archive" if is_done else None,
                "link": _link(job.id) if is_done else None,
            }
        )


class ExportList(models.Answer):
    items: list[Export]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class MirroredFile(models.Answer):
    name: str = Field(
        description="A folder of its job, a slash, and a name: as in an export, fit for every file system."
    )
    size: int = Field(description="Bytes.")
    sha256: str
    type: str = Field(description="Media type.")
    kind: library.Kind
    fid: str = Field(description="What `/download` takes.")
    href: str = Field(description="Path of the file on this server.")

    @classmethod
    def of(cls, file: library.NamedFile) -> Self:
        found = file.artifact
        own = {"name": file.name, "size": found.bytes, "fid": found.id, "href": _href(found)}
        return cls.model_validate({**vars(found), **own})


class Change(models.Answer):
    """What happened to a job. To `new` and `changed` the same is to be done: the job has these files now, and no others."""

    job: str
    change: Literal["new", "changed", "deleted"]
    at: datetime
    title: str | None = Field(None, description="Null if it was deleted.")
    state: models.State | None = None
    created_at: datetime | None = None
    files: list[MirroredFile] = Field([], description="All that it has.")

    @classmethod
    def of(cls, change: library.Change) -> Self:
        found = change.recording
        told = {"job": change.job, "change": change.change, "at": change.at}
        if found is not None:
            told |= {"title": found.title, "state": found.state, "created_at": found.created_at}
        return cls.model_validate({**told, "files": [MirroredFile.of(file) for file in found.files] if found else []})


class Changes(models.Answer):
    items: list[Change]
    cursor: str = Field(description="To go on with, now or later.")
    more: bool = Field(description="Whether there is more at once.")


class ChangesQuery(models.ListQuery):
    limit: int = Field(100, ge=1, le=500)
    cursor: str | None = Field(
        None, max_length=300, description="Where an earlier answer ended; from the beginning if unset."
    )


@api.post("/v1/exports", summary="Export what you have", responses={202: Export})
def create_export(body: NewExport) -> Answer:
    """Files of recordings that have ended: what is wanted of them, with a manifest, and as a zip."""
    _check_cursor(body.since)
    intake.check_room(0)
    new = _new_export(body)
    try:
        messages = services().exports.create(new)
    except TooManyExports:
        raise Problem("too_many_exports", limit=MOST_OPEN, headers={"Retry-After": "10"}) from None
    services().dispatcher.send(messages)
    return _answer(_export(new.id)), 202, {"Location": f"/v1/exports/{new.id}"}


@api.get("/v1/exports", summary="List exports, newest first", responses={200: ExportList})
def list_exports(query: models.ListQuery) -> dict[str, Any]:
    try:
        page, cursor = services().exports.jobs.list(identity().owner, query.cursor, query.limit)
    except BadCursor:
        raise _bad_cursor() from None
    return ExportList(items=[Export.of(job) for job in page], next=cursor).model_dump(mode="json")


@api.get("/v1/exports/changes", summary="Tell what has changed", responses={200: Changes})
def list_changes(query: ChangesQuery) -> dict[str, Any]:
    """What is new, has changed or was deleted after the cursor, oldest first; it is told ten seconds after it happened.

    410 if the cursor is older than 30 days: begin again without one, and drop what is not told then.
    """
    try:
        found = services().library.changes(identity().owner, query.cursor, query.limit)
    except CursorExpired:
        raise Problem("cursor_expired") from None
    except BadCursor:
        raise _bad_cursor() from None
    items = [Change.of(change) for change in found.items]
    return Changes(items=items, cursor=found.cursor, more=found.more).model_dump(mode="json")


@api.get("/v1/exports/<id>", summary="Look at an export", responses={200: Export})
def get_export(path: models.JobPath) -> dict[str, Any]:
    return _answer(_export(path.id))


@api.delete("/v1/exports/<id>", summary="Delete an export", responses={204: None})
def delete_export(path: models.JobPath) -> tuple[str, int]:
    """And end it, if it is not done. The files stay."""
    if not services().exports.jobs.delete(identity().owner, path.id):
        raise Problem("not_found")
    services().remove_soon()
    return "", 204


@api.get("/v1/exports/<id>/archive", summary="Download all files of an export as one zip", responses=ARCHIVE)
def get_export_archive(path: models.JobPath) -> Response:
    """With the manifests. What was deleted or has changed since is named in `missing.txt` instead."""
    return send_export(identity().owner, _export(path.id))


def _new_export(body: NewExport) -> NewJob:
    who, settings = identity(), services().settings
    options = Options(notify=intake.told(body.notify), keep_result_days=settings.link_days)
    return NewJob(
        who.owner,
        f"Export of {now():%Y-%m-%d}",
        first=NextTask("export", args=body.wanted),
        options=options,
        trace=telemetry.traceparent(),
        mails=intake.check_mails(options),
    )


def _check_cursor(cursor: str | None) -> None:
    try:
        if cursor:
            Place.read(cursor)
    except BadCursor:
        raise _bad_cursor() from None


def _bad_cursor() -> Problem:
    return Problem("invalid", "The cursor is not one of ours.")


def _export(export_id: str) -> Job:
    found = services().exports.jobs.get(identity().owner, export_id)
    if found is None:
        raise Problem("not_found")
    return found


def _answer(job: Job) -> dict[str, Any]:
    return Export.of(job).model_dump(mode="json")


def _href(found: Artifact) -> str:
    return f"/download?fid={found.id}"


def _link(export_id: str) -> str:
    base = (services().settings.public_url or "").rstrip("/")
    return f"{base}/v1/links/{services().links.sign_job(export_id)}/archive"
