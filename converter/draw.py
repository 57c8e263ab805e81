"""What converter does with a finished sound file: measures it and draws its waveform, from one decoding."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import ffmpeg
import structlog

from converter.keeping import keep
from converter.loudness import Meter
from converter.waveform import HEIGHT, WIDTH, Waveform
from pipeline.blobs import BlobStore
from pipeline.errors import Retry
from pipeline.ffmpeg import GUARDS, FFmpegFailed, run, source
from pipeline.names import stem
from pipeline.recording import SoundFacts
from pipeline.room import check_room
from pipeline.work import Artifact, Progress, Result, Task

log = structlog.get_logger()
Read = TypeVar("Read")

_ROOM = 16 * 2**20
"""Bytes of a picture before and after it is a PNG, and of the numbers."""


def draw(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
    """Makes the waveform of the job's MP3, or of its first sound file, and finds out how loud that file is.

    A file that cannot be drawn has none: whoever asked for sound has it. Raises Retry.
    """
    progress(0)
    audio = _chosen(task)
    check_room(folder, audio.bytes + _ROOM)
    blobs.fetch(audio.blob, folder / "audio")
    meter = Meter()
    try:
        waveform = _decoded(meter, SoundFacts.model_validate(audio.facts), folder, progress)
        _paint(waveform, folder, progress)
    except FFmpegFailed as failed:
        if failed.kind == "machine":
            raise Retry("ffmpeg was stopped by its machine") from failed
        log.warning("no waveform", job=task.job_id, kind=failed.kind, log=failed.log)
        return Result()
    (folder / "waveform.json").write_text(waveform.json(), encoding="ascii")
    drawn = [_kept(task, blobs, folder, "png", "image/png"), _kept(task, blobs, folder, "json", "application/json")]
    return Result(drawn, facts={audio.blob: {"loudness": meter.level.model_dump(mode="json")}})


def _chosen(task: Task) -> Artifact:
    """All sound files of a job look the same, and MP3 is decoded quickly."""
    files = [artifact for artifact in task.artifacts if artifact.kind == "audio"]
    return min(files, key=lambda file: file.type != "audio/mpeg")


def _kept(task: Task, blobs: BlobStore, folder: Path, extension: str, media_type: str) -> Artifact:
    name = f"waveform.{extension}"
    return keep(task, blobs, folder / name, kind="waveform", name=f"{stem(task.title)}.{name}", media_type=media_type)


def _decoded(meter: Meter, facts: SoundFacts, folder: Path, progress: Progress) -> Waveform:
    """The samples never lie on the disk: a day of them is 8 GB."""
    mono = meter.on(source("audio")["a:0"]).filter(
        "aformat", sample_fmts="s16", sample_rates=facts.sample_rate, channel_layouts="mono"
    )

    def read(samples: BinaryIO) -> Waveform:
        return Waveform.read(samples, facts.sample_rate, facts.seconds)

    with _listening(folder / "samples", read) as waveform:
        run(
            ffmpeg.output(mono, "file:samples", format="s16le"),
            folder=folder,
            duration=facts.seconds,
            deadline=60 + facts.seconds,
            progress=progress,
            output_limit=_ROOM,
            log=meter.read,
        )
    return waveform.result()


@contextmanager
def _listening(path: Path, read: Callable[[BinaryIO], Read]) -> Iterator[Future[Read]]:
    """Makes a FIFO at `path`, of which `read` gets all that is written in the block, in a thread of its own.

    A writer of our own stands by until the block is left: nobody waits for one that never comes.
    """
    os.mkfifo(path)
    samples = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    with ThreadPoolExecutor(1) as pool, path.open("wb", buffering=0):
        os.set_blocking(samples.fileno(), True)
        yield pool.submit(_through, samples, read)


def _through(samples: BinaryIO, read: Callable[[BinaryIO], Read]) -> Read:
    """Closes `samples` whatever happens, so that its writer does not wait either."""
    with samples:
        return read(samples)


def _paint(waveform: Waveform, folder: Path, progress: Progress) -> None:
    (folder / "picture").write_bytes(waveform.picture())
    guards = GUARDS | {"format_whitelist": "rawvideo", "codec_whitelist": "rawvideo"}
    picture = ffmpeg.input("file:picture", format="rawvideo", pixel_format="rgba", video_size=(WIDTH, HEIGHT), **guards)
    run(
        ffmpeg.output(picture, "file:waveform.png", format="image2", vcodec="png", update=1),
        folder=folder,
        duration=None,
        deadline=60,
        progress=lambda _percent, _speed=None: progress(100),
        output_limit=_ROOM,
    )
