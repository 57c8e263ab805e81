"""What transcriber does for a job: `transcribe`."""

from functools import partial
from math import exp
from pathlib import Path, PurePath

import ffmpeg
import openai

from pipeline.blobs import BlobStore, store
from pipeline.decoding import Decoder
from pipeline.errors import Reject, Retry
from pipeline.ffmpeg import FFmpegFailed
from pipeline.names import stem
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.work import Artifact, Progress, Result, Task
from transcriber.formats import FORMATS
from transcriber.transcript import Segment, Transcript
from transcriber.vendor import Answer, ask

SHRUNK = 5.0
"""Percent done when the audio is ready to be sent."""

_SHORTEST = 0.1
"""Seconds; less is refused by services, and holds no word."""

_PACE = 0.3
"""Seconds that a service needs for a second of speech, roughly; only the shown percent hangs on it."""

_BYTES_PER_SECOND = 3000


def transcribe(
    task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, client: openai.OpenAI, model: str
) -> Result:
    """Makes the transcripts that are asked for of the track that `extract` took out; of one without speech, empty ones.

    Raises Retry or Reject.
    """
    progress(0)
    kept, track = task.only("track"), Track.of(task)
    check_room(folder, kept.bytes + _likely_bytes(track))
    blobs.fetch(kept.blob, folder / "track")
    seconds = _shrink(folder, track, progress)
    transcript = _listen(client, model, folder / "speech.ogg", seconds, task.options.language, progress)
    return Result([_keep(task, blobs, folder, transcript, form) for form in FORMATS if form in task.options.formats])


def _shrink(folder: Path, track: Track, progress: Progress) -> float:
    """Makes speech.ogg, 24 kbit/s: an hour is 11 MB, where services stop at 25. Returns its seconds."""
    output = partial(
        ffmpeg.output,
        filename="file:speech.ogg",
        acodec="libopus",
        audio_bitrate=f"{_BYTES_PER_SECOND * 8 // 1000}k",
        application="voip",
        ac=1,
        ar=16000,
        map_metadata=-1,
    )
    try:
        return Decoder.of(track, folder).run(
            output,
            duration=track.seconds,
            deadline=60 + track.seconds,
            progress=lambda percent, _=None: progress(percent * SHRUNK / 100),
            output_limit=2**20 + int(4 * _BYTES_PER_SECOND * track.seconds),
            room=_likely_bytes(track),
        )
    except FFmpegFailed as failure:
        if failure.kind == "machine":
            raise Retry("The machine ran out of memory or space.") from failure
        raise Reject("The sound of this recording cannot be decoded.") from failure


def _likely_bytes(track: Track) -> int:
    """Of speech.ogg."""
    return 2**20 + int(_BYTES_PER_SECOND * track.seconds)


def _listen(
    client: openai.OpenAI, model: str, audio: Path, seconds: float, language: str | None, progress: Progress
) -> Transcript:
    def beat(gone: float) -> None:
        progress(SHRUNK + (99 - SHRUNK) * (1 - exp(-gone / (1 + _PACE * seconds))))

    answer = Answer(text="")
    if seconds >= _SHORTEST:
        answer = ask(client, model, audio, language, limit=120 + 4 * seconds, beat=beat)
    pieces = [
        Segment(round(piece.start * 1000), round(piece.end * 1000), piece.text) for piece in answer.segments or ()
    ]
    whole = Segment(0, round(seconds * 1000), answer.text)
    # The name alone: the setting may be a folder's path.
    return Transcript.of(
        pieces or [whole], language=answer.language or language, duration=seconds, model=PurePath(model).name
    )


def _keep(task: Task, blobs: BlobStore, folder: Path, transcript: Transcript, extension: str) -> Artifact:
    media_type, write = FORMATS[extension]
    path = folder / f"transcript.{extension}"
    path.write_text(write(transcript), encoding="utf-8", newline="\n")
    blob = task.blob_id(path.name)
    size, digest = store(blobs, blob, path)
    return Artifact(f"{stem(task.title)}.{extension}", "transcript", media_type, size, digest, blob)
