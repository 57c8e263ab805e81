"""What goes over the wire: one source for what is checked, answered and documented."""

from datetime import datetime
from typing import Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from pipeline import jobs, work
from pipeline.options import Options

State = Literal["queued", "running", "done", "failed", "cancelled"]

ID = r"^[0-9a-f]{32}$"


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Artifact(Answer):
    """A file of a job."""

    name: str
    kind: Literal["original", "audio", "transcript"]
    type: str = Field(description="Media type.")
    bytes: int
    sha256: str
    fid: str = Field(description="What `/download` takes.")
    href: str = Field(description="Path of the file on this server.")

    @classmethod
    def of(cls, job_id: str, found: work.Artifact) -> Self:
        href = f"/v1/jobs/{job_id}/artifacts/{quote(found.name, safe='')}"
        return cls.model_validate({**vars(found), "fid": found.id, "href": href})


class Stage(Answer):
    name: str
    state: State
    percent: int = Field(ge=0, le=100)
    seconds: float | None = Field(description="How long it took, once it has ended.")


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


class Address(Options):
    """A recording to fetch, and what is wanted of it."""

    model_config = ConfigDict(extra="forbid")

    url: HttpUrl = Field(description="Where it is, http or https; private addresses are not fetched from.")

    def options(self) -> Options:
        return Options.model_validate(self.model_dump(exclude={"url"}, exclude_unset=True))


class JobList(Answer):
    items: list[Job]
    next: str | None = Field(description="The cursor of the next page; null on the last.")


class JobPath(BaseModel):
    id: str = Field(pattern=ID)


class ArtifactPath(JobPath):
    name: str


class LinkPath(BaseModel):
    token: str


class ListQuery(BaseModel):
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = None


class FilePath(BaseModel):
    name: str = Field(description="What the file is called.")


class WaitQuery(BaseModel):
    wait: float = Field(0, ge=0, le=60, description="Seconds to wait for the job to end, before the answer is given.")


class FileQuery(BaseModel):
    fid: str = Field(pattern=ID, description="The file, as a job's artifacts name it.")
