"""What converter does with the parts of a long MP3: makes one gapless file of them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import structlog

from converter import filters
from converter.encode import Encoding
from converter.failures import explained
from converter.filters import Measured
from converter.info import info_frame
from converter.mp3 import Damaged, Frames
from converter.parts import PartFacts
from converter.seams import NoSeam
from converter.splice import Splice, splice
from converter.tags import Tags, id3
from pipeline.blobs import BlobMissing, BlobStore, write
from pipeline.formats import OUTPUTS
from pipeline.names import stem
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.work import Artifact, NextTask, Progress, Result, Task

log = structlog.get_logger()


def join(task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, bitrate_kbit: int) -> Result:
    """Makes the MP3 of the parts that `encode` made; of the track anew, in one piece, if ever they do not fit.

    Raises Reject, and Retry where there is no room for it.
    """
    profile, track = task.options.profile(bitrate_kbit), Track.of(task)
    work = Encoding(task, blobs, folder, profile, track, Measured.of(task))
    parts = sorted((made for made in task.artifacts if made.kind == "part"), key=lambda part: PartFacts.of(part).first)
    progress(0)
    try:
        made = _joined(work, parts, progress)
    except (NoSeam, Damaged) as error:
        log.warning("parts do not fit, so the file is encoded in one piece", cause=str(error))
        (made,) = work.files(["mp3"], progress)
    return Result([made], [NextTask("draw")] if task.options.waveform else [], spent=parts)


def _joined(work: Encoding, parts: Sequence[Artifact], progress: Progress) -> Artifact:
    """Raises NoSeam and Damaged."""
    check_room(work.folder, sum(part.bytes for part in parts))
    for part in parts:
        progress(0)
        try:
            work.blobs.fetch(part.blob, work.folder / part.name)
        except BlobMissing as lost:
            raise NoSeam(f"{part.name} is lost") from lost
    facts = [PartFacts.of(part) for part in parts]
    samples = facts[-1].samples
    if facts[0].first or samples is None:
        raise NoSeam("the first part or the last is not there")
    files = (Frames(work.folder / part.name, fact.begin) for part, fact in zip(parts, facts, strict=True))
    whole = splice(files, [fact.first for fact in facts[1:]])
    seconds = samples / whole.format.sample_rate
    filters.check(seconds, filters.length(work.profile, work.track, work.measured), partial=work.task.options.partial)
    return _kept(work, whole, samples, seconds, progress)


def _kept(work: Encoding, whole: Splice, samples: int, seconds: float, progress: Progress) -> Artifact:
    """Its bytes are read twice, for the Info frame in front tells their checksum, and written once."""
    tags = Tags.of(work.task, work.track, work.profile)
    with explained():
        front = id3(tags, work.blobs, work.folder, lambda _percent, _speed=None: progress(0))
    heard = _watched(whole, progress, 0)
    info = info_frame(whole.contents(heard, samples, constant=work.profile.mode == "cbr"))
    blob = work.task.blob_id("audio.mp3")
    size, sha256 = write(work.blobs, blob, chain([front, info], _watched(whole, progress, 50)))
    facts = work.facts("mp3", len(info) + whole.size, seconds).model_dump(mode="json")
    name = f"{stem(work.task.title)}.{OUTPUTS['mp3'].extension}"
    return Artifact(name, "audio", OUTPUTS["mp3"].media_type, size, sha256, blob, facts=facts)


def _watched(whole: Splice, progress: Progress, percent: float) -> Iterator[bytes]:
    """All its bytes, of which `progress` is told as the half of the work that begins at `percent`."""
    done = 0
    for chunk in whole.read():
        yield chunk
        done += len(chunk)
        progress(percent + 50 * done / whole.size)
