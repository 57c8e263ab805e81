"""Exports: jobs that say in a manifest what files a user has, so that they can be taken along as a whole or by signed links."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import Engine, exists, func, select

from pipeline.accounts import alone
from pipeline.blobs import BlobStore
from pipeline.catalog import ENDED, ArtifactRow, JobRow
from pipeline.database import transaction
from pipeline.jobs import Jobs, NewJob, add_job
from pipeline.messages import Message

MOST_OPEN = 4
"""Exports that each user may have unfinished at a time."""
LINES, TABLE = "manifest.jsonl", "manifest.csv"
"""What the manifests of an export are called."""


class TooManyExports(Exception):
    """The owner has as many unfinished exports as may be."""


class ManifestLine(BaseModel):
    """What a manifest says of one file."""

    name: str
    """A folder, a slash, and a name, fit for every file system; no two lines have the same."""
    size: int
    """Bytes."""
    sha256: str
    link: str
    """Signed: whoever has it needs no sign-in."""
    job: str
    title: str
    fid: str
    type: str
    """Media type."""
    kind: str
    created_at: datetime
    """When the recording was sent."""


class Totals(BaseModel):
    """The facts of a manifest: what it has in sum, and the cursor from which on there may be more."""

    files: int
    bytes: int
    jobs: int
    cursor: str


@dataclass(frozen=True)
class Exports:
    """The exports of one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    @property
    def jobs(self) -> Jobs:
        """As what they are listed, looked at and deleted."""
        return Jobs(self.engine, "export")

    def create(self, new: NewJob) -> list[Message]:
        """Commits the export; returns the messages to publish. Raises TooManyExports."""
        unfinished = JobRow.owner == new.owner, JobRow.kind == "export", JobRow.state.not_in(ENDED)
        with alone(self.engine, new.owner) as session:
            if (session.scalar(select(func.count()).where(*unfinished)) or 0) >= MOST_OPEN:
                raise TooManyExports
            return add_job(session, new, "export")[1]

    def unchanged(self, owner: str, lines: Sequence[ManifestLine]) -> dict[str, str]:
        """By their `fid`, the blobs of those files that still are what the lines say."""
        wanted = {line.fid: line.sha256 for line in lines}
        # Not by a join, for which SQLite would go through all that the owner has.
        mine = exists().where(JobRow.id == ArtifactRow.job_id, JobRow.owner == owner)
        found = select(ArtifactRow.id, ArtifactRow.sha256, ArtifactRow.blob).where(ArtifactRow.id.in_(wanted), mine)
        with transaction(self.engine) as session:
            rows = session.execute(found).all()
        return {fid: blob for fid, sha256, blob in rows if sha256 == wanted[fid]}


def read_manifest(blobs: BlobStore, blob: str) -> Iterator[ManifestLine]:
    """Line by line. Raises BlobMissing, `Unavailable`."""
    with blobs.open(blob) as lines:
        yield from map(ManifestLine.model_validate_json, lines)
