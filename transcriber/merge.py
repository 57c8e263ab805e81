"""What a transcriber does last for a job: makes one transcript of what was heard in all parts."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import merge as interleaved
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Final, Self

from pipeline.blobs import BlobStore, store
from pipeline.errors import Reject
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.transcript import MEDIA_TYPE, About, Layer, LayerFacts, Segment, passages, write_layer
from pipeline.work import Artifact, Progress, Result, Task
from transcriber.parts import Channel, Part, Span
from transcriber.render import rendered, replaced
from transcriber.seams import Seam
from transcriber.tidy import chained, tidy

_JOINED: Final = 50
"""Percent done when the parts are one."""
_ROOM: Final = 4
"""Times the bytes of all that was heard: that itself, the layer, and the largest files made of it."""


def merge(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
    """Joins what was heard to a new layer, the job's newest, and writes the transcripts that are asked for.

    Raises Retry where there is no room to work, and Reject where a part is missing.
    """
    progress(0)
    artifacts = _parts(task)
    check_room(folder, _ROOM * sum(artifact.bytes for artifact in artifacts))
    heard = [_Heard.fetched(artifact, blobs, folder) for artifact in artifacts]
    version = 1 + max((LayerFacts.of(each).version for each in task.artifacts if each.kind == "layer"), default=0)
    layer = Layer(folder / f"transcript-{version:04}.jsonl")
    write_layer(layer.path, _about(task, heard), _Joined(heard, progress).segments())
    kept = _keep(task, blobs, layer, version)
    made = rendered(task, blobs, folder, layer, _second_half(progress), version=version)
    spent = [*artifacts, *replaced(task)]
    return Result([kept, *made], spent=spent, passages=list(passages(layer.segments())))


def _parts(task: Task) -> list[Artifact]:
    """What was heard in the parts of the task's run, in order. Raises Reject unless all are there."""
    heard = [(Part.of(each), each) for each in task.artifacts if each.kind == "heard"]
    found = {part.part: each for part, each in heard if part.run == task.part}
    if sorted(found) != list(range(task.args["parts"])):
        raise Reject("Some of what was heard is gone; have this recording transcribed again.")
    return [found[number] for number in sorted(found)]


@dataclass(frozen=True)
class _Heard:
    part: Part
    layer: Layer

    @classmethod
    def fetched(cls, artifact: Artifact, blobs: BlobStore, folder: Path) -> Self:
        part = Part.of(artifact)
        path = folder / f"heard-{part.part}"
        blobs.fetch(artifact.blob, path)
        return cls(part, Layer(path))

    def segments(self, many: bool) -> list[Segment]:
        """In order. Who is called A in one part may be anybody in another: of `many`, labels tell the part."""
        return [replace(segment, speaker=self._speaker(segment, many)) for segment in tidy(self._raw(), self.part)]

    def _speaker(self, segment: Segment, many: bool) -> str | None:
        return f"{segment.speaker}{self.part.part + 1}" if many and segment.speaker else segment.speaker

    def _raw(self) -> Iterator[Segment]:
        for segment in self.layer.segments():
            yield replace(segment, speaker=None) if self.part.channel else segment


def _about(task: Task, heard: Sequence[_Heard]) -> About:
    """The language is that of most of what was heard, unless the user named one."""
    abouts = [each.layer.about for each in heard]
    languages: defaultdict[str, float] = defaultdict(float)
    for each, about in zip(heard, abouts, strict=True):
        if about.language:
            languages[about.language] += each.part.seconds
    return About(
        duration=Track.of(task).seconds,
        language=task.options.language or max(languages, key=languages.__getitem__, default=None),
        model=abouts[0].model if abouts else task.args.get("model"),
        translated=any(about.translated for about in abouts),
        timed=all(about.timed for about in abouts),
    )


@dataclass(frozen=True)
class _Joined:
    """What was heard, as one, of which two parts of a channel are in memory at once."""

    heard: Sequence[_Heard]
    progress: Progress
    done: Iterator[int] = field(default_factory=count)

    def segments(self) -> Iterator[Segment]:
        """Of all channels, by their starts."""
        channels = sorted({each.part.channel for each in self.heard}, key=str)
        return interleaved(*map(self._spoken, channels), key=attrgetter("start"))

    def _spoken(self, channel: Channel | None) -> Iterator[Segment]:
        for segment in chained(self._of(channel)):
            yield replace(segment, speaker=channel.capitalize()) if channel else segment

    def _of(self, channel: Channel | None) -> Iterator[Segment]:
        many, before, last = len(self.heard) > 1, None, list[Segment]()
        for each in self.heard:
            if each.part.channel != channel:
                continue
            segments = each.segments(many)
            if before and each.part.overlap:
                last, segments = _seam(before, each).join(last, segments)
            yield from last
            before, last = each, segments
            self.progress(_JOINED * next(self.done) / len(self.heard))
        yield from last


def _seam(before: _Heard, after: _Heard) -> Seam:
    overlap = Span(start=after.part.spans[0].start, end=before.part.spans[-1].end)
    return Seam(overlap, timed=before.layer.about.timed and after.layer.about.timed)


def _keep(task: Task, blobs: BlobStore, layer: Layer, version: int) -> Artifact:
    about, name = layer.about, layer.path.name
    blob = task.blob_id(name)
    size, digest = store(blobs, blob, layer.path)
    facts = LayerFacts(
        version=version, at=datetime.now(UTC), model=about.model, language=about.language, translated=about.translated
    )
    return Artifact(name, "layer", MEDIA_TYPE, size, digest, blob, facts=facts.model_dump(mode="json"))


def _second_half(progress: Progress) -> Progress:
    return lambda percent, _speed=None: progress(_JOINED + percent * (100 - _JOINED) / 100)
