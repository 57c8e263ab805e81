"""What goes over the wire: one source for what is checked, answered and documented."""

import re
from datetime import datetime, timedelta
from typing import Literal, Self
from urllib.parse import quote

from flask_openapi3.models import MediaType, Schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, HttpUrl, ValidationInfo, field_validator

from pipeline import jobs, work
from pipeline.database import now
from pipeline.options import Options, StrictOptions
from pipeline.recording import SoundFacts

State = Literal["queued", "running", "done", "failed", "cancelled"]

ID = r"^[0-9a-f]{32}$"


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Artifact(Answer):
    """A file of a job."""

    name: str
    kind: Literal["original", "audio", "waveform", "transcript"]
    type: str = Field(description="Media type.")
    bytes: int
    sha256: str
    fid: str = Field(description="What `/download` takes.")
    href: str = Field(description="Path of the file on this server.")
    facts: SoundFacts | None = Field(None, description="What is known of a sound file.")

    @classmethod
    def of(cls, job_id: str, found: work.Artifact) -> Self:
        href = f"/v1/jobs/{job_id}/artifacts/{quote(found.name, safe='')}"
        facts = found.facts if found.kind == "audio" else None
        return cls.model_validate({**vars(found), "fid": found.id, "href": href, "facts": facts or None})


class Stage(Answer):
    name: str
    state: State
    percent: int = Field(ge=0, le=100)
    seconds: float | None = Field(description="How long it took, once it has ended.")
    speed: float | None = Field(description="Seconds of media that are worked on in a second, while that is known.")
    seconds_left: float | None = Field(description="How long it still takes at this speed, while that is known.")


class Job(Answer):
    """One upload and what becomes of it. Times are RFC 3339, UTC."""

    id: str
    state: State
    stage: str
    percent: int = Field(ge=0, le=100)
    reason: str | None = Field(description="Why the job failed, for people.")
    title: str
    created_at: datetime
    finished_at: datetime | None
    artifacts: list[Artifact]
    stages: list[Stage]
    seconds: float | None = Field(description="How long the recording is, once that is known.")
    reused: bool = Field(description="All of it was there already, made of the same bytes with the same options.")
    options: Options

    @classmethod
    def of(cls, job: jobs.Job) -> Self:
        return cls.model_validate({**vars(job), "artifacts": [Artifact.of(job.id, found) for found in job.artifacts]})


class Address(StrictOptions):
    """A recording to fetch, and what is wanted of it."""

    url: HttpUrl = Field(description="Where it is, http or https; private addresses are not fetched from.")

    def options(self) -> Options:
        return Options.model_validate(self.model_dump(exclude={"url"}, exclude_unset=True))


class JobList(Answer):
    items: list[Job]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


LONGEST_LINK = 366 * 86400
"""Seconds."""


class NewLink(BaseModel):
    """What a link is to open, and for how long."""

    model_config = ConfigDict(extra="forbid")

    artifact: str | None = Field(None, description="The name of a file of the job; the whole job if unset.")
    seconds: int | None = Field(
        None, ge=1, le=LONGEST_LINK, description="How long it is good for; as long as links in mails if unset."
    )
    expires_at: AwareDatetime | None = Field(None, description="When it ends, instead of `seconds`; RFC 3339.")
    downloads: int | None = Field(
        None, ge=1, le=1_000_000, description="How many whole files or archives it is good for; no limit if unset."
    )

    @field_validator("expires_at")
    @classmethod
    def _is_one_near_end(cls, end: datetime | None, info: ValidationInfo) -> datetime | None:
        if end and info.data.get("seconds"):
            raise ValueError("either this or seconds can be given")
        if end and not 0 < (end - now()).total_seconds() <= LONGEST_LINK:
            raise ValueError(f"this has to be in the future, by {LONGEST_LINK} seconds at most")
        return end

    def end(self, seconds: int) -> datetime:
        """As asked for, or after `seconds`. A link ends at a full second."""
        end = self.expires_at or now() + timedelta(seconds=self.seconds or seconds)
        return end.replace(microsecond=0)


class Link(Answer):
    """A link to one file of a job, or to all of it. Times are RFC 3339, UTC."""

    id: str
    artifact: str | None = Field(description="The file; null for the whole job.")
    url: str = Field(description="Whoever has it needs no sign-in. A path, unless the server knows its own address.")
    created_at: datetime
    expires_at: datetime
    downloads: int | None = Field(description="How many it is good for; null for no limit.")
    used: int = Field(description="Whole files and archives that were sent by it, or begun.")


class LinkList(Answer):
    items: list[Link]


class SharedFile(Answer):
    name: str
    type: str = Field(description="Media type.")
    bytes: int
    href: str = Field(description="Path of the file on this server.")


class SharedJob(Answer):
    """A job as those see it who hold a link to it."""

    model_config = ConfigDict(
        openapi_extra={  # type: ignore[typeddict-unknown-key]  # read by flask-openapi3
            "description": "The file, if the link is to one, or what files its job has.",
            "content": {"*/*": MediaType(schema=Schema(type="string", format="binary"))},
        }
    )

    title: str
    files: list[SharedFile]
    archive: str = Field(description="Path of all files as one zip.")
    expires_at: datetime

    @classmethod
    def of(cls, job: jobs.Job, token: str, expires_at: datetime) -> Self:
        base = f"/v1/links/{token}"
        files = [{**vars(found), "href": f"{base}/artifacts/{quote(found.name, safe='')}"} for found in job.artifacts]
        shared = {"title": job.title, "files": files, "archive": f"{base}/archive", "expires_at": expires_at}
        return cls.model_validate(shared)


class JobPath(BaseModel):
    id: str = Field(pattern=ID)


class ArtifactPath(JobPath):
    name: str


class JobLinkPath(JobPath):
    link: str


class LinkPath(BaseModel):
    token: str


class LinkedFilePath(LinkPath):
    name: str


class ListQuery(BaseModel):
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = None


class FilePath(BaseModel):
    name: str = Field(description="What the file is called; of a path, the last part counts.")

    @field_validator("name")
    @classmethod
    def _is_the_last_part(cls, path: str) -> str:
        return re.split("/|%2f", path, flags=re.IGNORECASE)[-1]  # cheroot leaves encoded slashes as they are


class WaitQuery(BaseModel):
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for the job to end, before the answer is given.")


class FileQuery(BaseModel):
    fid: str = Field(pattern=ID, description="The file, as a job's artifacts name it.")
