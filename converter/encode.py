"""What converter does with a track: makes the sound files that are asked for, all of them from one decoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ffmpeg

from converter import filters, outputs
from converter.count import Count
from converter.failures import breaks_off, explained
from converter.filters import Measured
from converter.info import info_frame
from converter.keeping import keep
from converter.mp3 import Frames
from converter.parts import encode_part
from converter.splice import splice
from converter.tags import Tags, id3, tagged
from pipeline.audio import AudioFormat, Profile
from pipeline.blobs import BlobStore
from pipeline.decoding import Decoder
from pipeline.errors import Reject
from pipeline.ffmpeg import source
from pipeline.formats import OUTPUTS
from pipeline.names import stem
from pipeline.recording import SoundFacts, Track
from pipeline.room import check_room
from pipeline.work import Artifact, NextTask, Progress, Result, Task

_LARGEST = 16 * 2**30
"""Bytes of a sound file: a day of stereo as WAV."""


def encode(task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, bitrate_kbit: int) -> Result:
    """Makes sound files of the track that `extract` found: those that `args` name as `audio`, or all; or a part of an MP3.

    Raises Reject, and Retry where there is no room for them.
    """
    profile, track = task.options.profile(bitrate_kbit), Track.of(task)
    if "part" in task.args:
        return encode_part(task, blobs, folder, progress, profile=profile, track=track)
    work = Encoding(task, blobs, folder, profile, track, Measured.of(task))
    return Result([*work.files(task.args.get("audio", profile.audio), progress)], _next(task))


def _next(task: Task) -> list[NextTask]:
    """Files beside a split MP3 wait for it."""
    if "audio" in task.args:
        return [NextTask("join", args={key: value for key, value in task.args.items() if key != "audio"})]
    return [NextTask("draw")] if task.options.waveform else []


@dataclass(frozen=True)
class Encoding:
    task: Task
    blobs: BlobStore
    folder: Path
    profile: Profile
    track: Track
    measured: Measured | None

    def files(self, forms: Sequence[AudioFormat], progress: Progress) -> list[Artifact]:
        progress(0)
        expected = filters.length(self.profile, self.track, self.measured)
        length = expected or self.profile.seconds(self.track.seconds)
        sizes = self._likely_bytes(forms, length)
        room = sum(sizes) + max(sizes)  # tags: one more copy at a time
        check_room(self.folder, self.task.only("track").bytes + room)
        self.blobs.fetch(self.task.only("track").blob, self.folder / "track")
        count = Count()
        with explained():
            seconds = Decoder.of(self.track, self.folder).run(
                partial(self._outputs, forms),
                duration=length,
                deadline=60 + self.track.seconds * (1 + len(forms)),
                progress=progress,
                output_limit=max(outputs.most_bytes(form, self.profile, self.track, length) for form in forms),
                room=room,
                log=count.read if any(map(self._counted, forms)) else None,
                **filters.sought(self.profile, self.track),
            )
            filters.check(seconds, expected, partial=self.task.options.partial)
            return [self._kept(form, seconds, count, _at_the_end(progress)) for form in forms]

    def _likely_bytes(self, forms: Sequence[AudioFormat], seconds: float) -> list[int]:
        sizes = [outputs.likely_bytes(form, self.profile, self.track, seconds) for form in forms]
        if max(sizes) > _LARGEST:
            raise Reject(
                f"This recording is too long for {forms[sizes.index(max(sizes))].upper()}: a file of "
                f"{max(sizes) / 1e9:.0f} GB would come of it. Ask for another format."
            )
        return sizes

    def _outputs(self, forms: Sequence[AudioFormat], decoded: Any) -> Any:
        """What is such a file already is copied; for all others the sound is decoded and shaped once."""
        copied = [form for form in forms if outputs.copied(form, self.profile, self.track)]
        encoded = [form for form in forms if form not in copied]
        return ffmpeg.merge_outputs(*map(self._copy, copied), *self._encode(encoded, decoded))

    def _counted(self, form: AudioFormat) -> bool:
        """It is an MP3 that is encoded here, to which ffmpeg adds no Info frame: see `Count`."""
        return form == "mp3" and not outputs.copied(form, self.profile, self.track)

    def _copy(self, form: AudioFormat) -> Any:
        stream = source("track")[str(self.track.stream)]
        muxer = {**outputs.FORMS[form].muxer, **outputs.ANONYMOUS}
        return ffmpeg.output(stream, f"file:{_file(form)}", acodec="copy", **muxer)

    def _encode(self, forms: Sequence[AudioFormat], decoded: Any) -> list[Any]:
        if not forms:
            return []
        shaped = filters.shaped(decoded, self.profile, self.track, self.measured)
        split = shaped.filter_multi_output("asplit", len(forms))
        return [self._output(split[number], form) for number, form in enumerate(forms)]

    def _output(self, stream: Any, form: AudioFormat) -> Any:
        fitted = filters.fitted(stream, form, self.profile, self.track)
        arguments = outputs.arguments(form, self.profile, self.track)
        if self._counted(form):
            fitted, arguments = Count.on(fitted), {**arguments, "write_xing": 0}
        return ffmpeg.output(fitted, f"file:{_file(form)}", **arguments)

    def _info(self, path: Path, samples: int) -> bytes:
        """The frame in front of an MP3 of so many samples. Raises Damaged."""
        whole = splice([Frames(path, 0)], [])
        return info_frame(whole.contents(whole.read(), samples, constant=self.profile.mode == "cbr"))

    def _kept(self, form: AudioFormat, seconds: float, count: Count, progress: Progress) -> Artifact:
        path, info = self.folder / _file(form), b""
        if self._counted(form):
            info = self._info(path, count.samples)
            seconds = count.samples / outputs.sample_rate(form, self.profile, self.track)
        facts = self.facts(form, len(info) + path.stat().st_size, seconds)
        tags, before = Tags.of(self.task, self.track, self.profile), b""
        if form == "mp3":
            before = id3(tags, self.blobs, self.folder, progress) + info
        else:
            path = tagged(tags, self.blobs, self.folder, path.name, form, progress)
        kept = keep(
            self.task,
            self.blobs,
            path,
            kind="audio",
            name=f"{stem(self.task.title)}.{OUTPUTS[form].extension}",
            media_type=OUTPUTS[form].media_type,
            facts=facts.model_dump(mode="json"),
            before=before,
        )
        path.unlink()  # the next file with tags takes its room
        return kept

    def facts(self, form: AudioFormat, size: int, seconds: float) -> SoundFacts:
        return SoundFacts(
            seconds=seconds,
            codec=outputs.FORMS[form].named if form != "wav" else outputs.codec(form, self.track),
            bit_rate=round(8 * size / seconds),
            channels=outputs.channels(self.profile, self.track),
            sample_rate=outputs.sample_rate(form, self.profile, self.track),
            partial=self.track.partial or breaks_off(seconds, filters.length(self.profile, self.track)),
            gain=self.measured and self.measured.gain,
            measured=self.measured and self.measured.level,
        )


def _at_the_end(progress: Progress) -> Progress:
    """Tags are written quickly: nobody is told of another file that begins at 0 percent."""

    def told(_percent: float, _speed: float | None = None, /) -> None:
        progress(100)

    return told


def _file(form: AudioFormat) -> str:
    return f"audio.{OUTPUTS[form].extension}"
