"""What a transcriber does after a correction: `render`, and what it does with every new transcript."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.blobs import BlobStore, store
from pipeline.names import stem
from pipeline.options import Format
from pipeline.transcript import Layer, Segment, passages
from pipeline.work import Artifact, Progress, Result, Task
from transcriber.formats import FORMATS


def render(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
    """Makes all files anew out of the job's newest layer. Raises LookupError where there is none."""
    progress(0)
    newest = max((artifact for artifact in task.artifacts if artifact.kind == "layer"), key=_version, default=None)
    if newest is None:
        raise LookupError(f"job {task.job_id} has no transcript")
    blobs.fetch(newest.blob, folder / "layer")
    layer = Layer(folder / "layer")
    made = rendered(task, blobs, folder, layer, progress, version=_version(newest))
    return Result(made, spent=replaced(task), passages=list(passages(layer.segments())))


def rendered(
    task: Task, blobs: BlobStore, folder: Path, layer: Layer, progress: Progress, *, version: int
) -> list[Artifact]:
    """Stores a file of each format that was asked for, under the names that those of an earlier version have."""
    made = []
    for number, form in enumerate(forms := [form for form in FORMATS if form in task.options.formats]):
        watched = _Watched(layer.path, progress, 100 * number / len(forms))
        made.append(_keep(task, blobs, folder, watched, form, version))
    return made


def replaced(task: Task) -> list[Artifact]:
    """All the job's transcripts: what is not made anew would go on telling what an earlier version said."""
    return [artifact for artifact in task.artifacts if artifact.kind == "transcript"]


def _version(layer: Artifact) -> int:
    return int(layer.facts["version"])


def _keep(task: Task, blobs: BlobStore, folder: Path, layer: Layer, form: Format, version: int) -> Artifact:
    path, made = folder / f"transcript.{form}", FORMATS[form]
    made.write(layer, path, task.options)
    blob = task.blob_id(path.name)
    size, digest = store(blobs, blob, path)
    name = _name_of(task, made.type) or f"{stem(task.title)}.{form}"
    return Artifact(name, "transcript", made.type, size, digest, blob, facts={"version": version})


def _name_of(task: Task, media_type: str) -> str | None:
    earlier = (made.name for made in task.artifacts if made.kind == "transcript" and made.type == media_type)
    return next(earlier, None)


@dataclass(frozen=True)
class _Watched(Layer):
    """Reports for every segment that is read, so that an attempt can be ended."""

    progress: Progress
    percent: float

    def segments(self) -> Iterator[Segment]:
        for segment in super().segments():
            self.progress(self.percent)
            yield segment
