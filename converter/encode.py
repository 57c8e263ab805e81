"""What converter does with a track: makes the sound files that are asked for."""

from pathlib import Path

import ffmpeg

from converter.failures import check_length, explained
from converter.keeping import keep
from pipeline.blobs import BlobStore
from pipeline.ffmpeg import run, sound
from pipeline.names import stem
from pipeline.recording import Track
from pipeline.work import Progress, Result, Task


def encode(task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, bitrate_kbit: int) -> Result:
    """Makes the MP3 of the track that `extract` took out. Raises Reject."""
    track = Track.of(task)
    progress(0)
    blobs.fetch(task.only("track").blob, folder / "track")
    name = stem(task.title)
    mp3 = ffmpeg.output(
        sound("track", track.stream),
        "file:audio.mp3",
        acodec="libmp3lame",
        audio_bitrate=f"{bitrate_kbit}k",
        id3v2_version=3,
        metadata=f"title={name}",
        map_metadata=-1,
        map_chapters=-1,
    )
    with explained():
        seconds = run(
            mp3,
            folder=folder,
            duration=track.seconds,
            deadline=60 + track.seconds,
            progress=progress,
            output_limit=2**20 + int(2 * track.seconds * bitrate_kbit * 1000 / 8),
        )
    check_length(seconds, track.seconds)
    return Result([keep(task, blobs, folder / "audio.mp3", kind="audio", name=f"{name}.mp3", media_type="audio/mpeg")])
