"""What a converter does first for a job: looks into the recording, and finds the sound that everything else is made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ffmpeg

from converter import filters
from converter.cover import Picture
from converter.failures import REASONS, breaks_off, check_length, explained
from converter.keeping import keep
from converter.plan import Planner
from converter.tracks import alone, check_chain, choose, stays
from pipeline.blobs import BlobStore
from pipeline.errors import Reject, Retry
from pipeline.ffmpeg import FFmpegFailed, run, source
from pipeline.probe import Probe, Sound, Unreadable, probe
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.work import Artifact, NextTask, Progress, Result, Task

_ANONYMOUS: Final[dict[str, Any]] = {"map_metadata": -1, "map_chapters": -1}
"""Nothing goes on of what a camera wrote into the file, such as where it was."""

_SLOWEST_READING: Final = 4 * 2**20
"""Bytes a second; what is slower is stuck."""

_ROOM: Final = 4 * 2**30
"""Bytes that a track may be larger than its original: 79 MB of FLAC hold a day of silence."""

_LONGEST: Final = 100
"""Hours. A few kilobytes can hold years of silence, or pauses that long."""

_LARGEST_PICTURE: Final = 5_000_000
"""Bytes."""

_ENDINGS: Final = {"jpeg": "jpg", "png": "png"}

_IN_MP4: Final = ("aac", "alac", "flac", "mp3", "mp3float")
"""Codecs that MPEG-4 files hold with the times of every packet; Matroska's are of milliseconds."""

_MEDIA_TYPES: Final = {"m4a": "audio/mp4", "mka": "audio/x-matroska"}


def extract(task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, planner: Planner) -> Result:
    """Checks the original and finds its sound, as a file that holds little else, for all that follows.

    Raises Reject for what is no recording, has no sound, or breaks off; Retry where there is no room to work.
    """
    original = task.only("original")
    progress(0)
    check_room(folder, original.bytes)
    blobs.fetch(original.blob, folder / "original")
    found = _look(folder / "original", progress)
    chosen = choose(found, task.options.track)
    if (found.format, chosen.codec) == ("ogg", "vorbis") and alone(found):
        check_chain(folder / "original")
    work = _Extraction(task, blobs, folder, original, found, chosen)
    track, artifact = work.track(progress)
    unknown = filters.unknown(task.options.profile(planner.bitrate_kbit))
    following = [NextTask("measure")] if unknown else planner.encodings(task.options, track)
    transcribing = [NextTask("cut")] if task.options.transcribe else []
    return Result([artifact, *work.cover(progress)], [*following, *transcribing], seconds=track.seconds)


def _look(path: Path, progress: Progress) -> Probe:
    try:
        return probe(path, deadline=60, progress=progress)
    except Unreadable as unreadable:
        if unreadable.why == "machine":
            raise Retry("The look into the recording was stopped by its machine.") from unreadable
        raise Reject(REASONS[unreadable.why]) from unreadable


@dataclass(frozen=True)
class _Extraction:
    task: Task
    blobs: BlobStore
    folder: Path
    original: Artifact
    found: Probe
    chosen: Sound

    def track(self, progress: Progress) -> tuple[Track, Artifact]:
        """The chosen sound: the original if that is little else, or a copy of it alone. Raises Reject."""
        if stays(self.found, self.chosen, self.original.bytes):
            return self._original(progress)
        check_room(self.folder, self.original.bytes if self.chosen.bytes is None else self.chosen.bytes)
        return self._copied(progress)

    def cover(self, progress: Progress) -> list[Artifact]:
        """The picture on the recording, as it is, unless the job has one, or it is too large or none: nothing hangs on it."""
        if self.found.picture is None or any(artifact.kind == "cover" for artifact in self.task.artifacts):
            return []
        try:
            self._copy_picture(self.found.picture, progress)
        except FFmpegFailed:
            return []
        path = self.folder / "cover"
        picture = Picture.of(path.read_bytes())
        if picture is None:
            return []
        name, media_type = f"cover.{_ENDINGS[picture.form]}", f"image/{picture.form}"
        return [keep(self.task, self.blobs, path, kind="cover", name=name, media_type=media_type)]

    def _original(self, progress: Progress) -> tuple[Track, Artifact]:
        """Reads it once, to learn how long it is and whether it is whole, unless its index says that of every packet."""
        seconds = self._promise if self.chosen.steady else None
        if seconds is None:
            with explained():
                seconds = self._run("-", progress, acodec="copy", format="null")
        facts = self._facts(
            seconds,
            stream=self.chosen.index,
            begins=self.found.begins,
            container=self.found.format if alone(self.found) else None,
        )
        kept = self.original
        return facts, Artifact(
            "track", "track", kept.type, kept.bytes, kept.sha256, kept.blob, facts=facts.model_dump(mode="json")
        )

    def _copied(self, progress: Progress) -> tuple[Track, Artifact]:
        """In MPEG-4 where the times are exact, else in Matroska; encoded without loss where that has no place for the codec."""
        kind = "m4a" if self.chosen.steady and self.chosen.codec in _IN_MP4 else "mka"
        with explained():
            codec, seconds = self._take_out(f"track.{kind}", progress)
        facts = self._facts(seconds, stream=0, codec=codec, exact=self.chosen.exact and kind == "m4a")
        return facts, keep(
            self.task,
            self.blobs,
            self.folder / f"track.{kind}",
            kind="track",
            name=f"track.{kind}",
            media_type=_MEDIA_TYPES[kind],
            facts=facts.model_dump(mode="json"),
        )

    def _take_out(self, name: str, progress: Progress) -> tuple[str | None, float]:
        """The codec and the seconds of the track in file `name`. Raises FFmpegFailed."""
        muxer = {"movflags": "+faststart"} if name.endswith("m4a") else {}
        try:
            return self.chosen.codec, self._run(f"file:{name}", progress, acodec="copy", **muxer)
        except FFmpegFailed as failed:
            if failed.kind != "error":
                raise
            return "flac", self._run(f"file:{name}", progress, acodec="flac")

    def _run(self, target: str, progress: Progress, **how: Any) -> float:
        size = self.original.bytes
        return run(
            ffmpeg.output(
                source("original", shift=self.chosen.early)[str(self.chosen.index)], target, **how, **_ANONYMOUS
            ),
            folder=self.folder,
            duration=self._promise or self.found.duration,
            deadline=60 + size / _SLOWEST_READING,
            progress=progress,
            output_limit=size + _ROOM,
        )

    @property
    def _promise(self) -> float | None:
        """Seconds from the beginning of the recording to the end of the sound, as its header says."""
        return self.chosen.duration and self.chosen.late + self.chosen.duration

    def _whole(self, seconds: float) -> float | None:
        """Seconds that the sound should have which has `seconds`, None if nothing says so."""
        if self.found.missing > 1:
            return max(self._promise or 0.0, seconds * self.found.missing)
        return self._promise

    def _facts(self, seconds: float, **known: Any) -> Track:
        """Raises Reject if there is no sound, or less than there should be and its owner does not want that."""
        if not seconds:
            raise Reject("The sound track of this recording is empty.")
        if seconds > 3600 * _LONGEST:
            raise Reject(f"This recording is longer than {_LONGEST} hours; that is more than can be taken.")
        whole = self._whole(seconds)
        if not self.task.options.partial:
            check_length(seconds, whole)
        chosen, found = self.chosen, self.found
        of_the_sound = chosen.model_dump(include={"codec", "channels", "sample_rate", "bits", "exact", "constant"})
        return Track.model_validate(
            {
                **of_the_sound,
                "seconds": seconds,
                "bit_rate": self._bit_rate(seconds),
                "partial": breaks_off(seconds, whole),
                "tags": found.tags,
                "chapters": [chapter for chapter in found.chapters if 0 <= chapter.start < seconds],
                **known,
            }
        )

    def _bit_rate(self, seconds: float) -> int | None:
        """Bits a second. Ogg and FLAC do not tell them, but there is little else in such files."""
        if self.chosen.bytes is None and self.chosen.bit_rate:
            return self.chosen.bit_rate
        size = self.chosen.bytes or (self.original.bytes if alone(self.found) else None)
        return round(8 * size / seconds) if size else None

    def _copy_picture(self, index: int, progress: Progress) -> None:
        """Raises FFmpegFailed."""
        run(
            ffmpeg.output(source("original")[str(index)], "file:cover", vcodec="copy", format="image2pipe", vframes=1),
            folder=self.folder,
            duration=None,
            deadline=60,
            progress=lambda _percent, _speed=None: progress(100),
            output_limit=_LARGEST_PICTURE,
        )
