"""How loud a recording is from moment to moment, found out on the way to what speech services hear of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import ffmpeg

from pipeline.decoding import Decoder
from pipeline.recording import Track
from pipeline.work import Progress
from transcriber.parts import Channel
from transcriber.samples import BARE, RATE

FRAME: Final = 0.05
"""Seconds of which a level is the mean."""
SAMPLES: Final = int(RATE * FRAME)
SILENT: Final = 255

_KEY: Final = "lavfi.astats.Overall.RMS_level"
_BYTES_A_SECOND: Final = 2 * RATE + 2_000
"""Of a channel's samples, and of its levels as ffmpeg tells them."""


def most_bytes(seconds: float) -> int:
    """That `decode` writes of a channel."""
    return 2**20 + int(_BYTES_A_SECOND * seconds)


def decode(track: Track, folder: Path, channels: Sequence[Channel | None], progress: Progress) -> None:
    """Writes of each channel, None for the mean of all, what `sound` and `levels` are of it. Raises FFmpegFailed and Retry."""
    Decoder.of(track, folder).run(
        lambda stream: ffmpeg.merge_outputs(*_outputs(stream, channels)),
        duration=track.seconds,
        deadline=60 + track.seconds,
        progress=progress,
        output_limit=most_bytes(track.seconds),
        room=len(channels) * most_bytes(track.seconds),
    )


def sound(channel: Channel | None) -> str:
    """The name of the file, see `transcriber.samples`."""
    return f"{channel or 'mono'}.pcm"


def levels(folder: Path, channel: Channel | None) -> bytes:
    """A byte for each `FRAME`: dB below full scale, 255 where there is nothing; 7 MB are 100 hours."""
    with (folder / _levels(channel)).open() as lines:
        told = (line.partition("=")[2] for line in lines if line.startswith(_KEY))
        return bytes(round(min(max(-float(level), 0.0), float(SILENT))) for level in told)


def _levels(channel: Channel | None) -> str:
    return f"{channel or 'mono'}.levels"


def _outputs(stream: Any, channels: Sequence[Channel | None]) -> Iterator[Any]:
    split = stream.filter_multi_output("asplit", 2 * len(channels))
    for index, channel in enumerate(channels):
        heard, measured = (_alone(split[2 * index + copy], channel) for copy in (0, 1))
        yield ffmpeg.output(heard, f"file:{sound(channel)}", **BARE)
        yield ffmpeg.output(_told(measured, _levels(channel)), "-", format="null")


def _alone(stream: Any, channel: Channel | None) -> Any:
    if channel:
        stream = stream.filter("channelmap", map=("left", "right").index(channel), channel_layout="mono")
    return stream.filter("aformat", sample_fmts="s16", sample_rates=RATE, channel_layouts="mono")


def _told(stream: Any, name: str) -> Any:
    """Without what sound cards add below all speech: an offset, and the hum of the mains."""
    framed = stream.filter("highpass", frequency=100).filter("asetnsamples", SAMPLES)
    measured = framed.filter("astats", metadata=1, reset=1, measure_perchannel="none", measure_overall="RMS_level")
    return measured.filter("ametadata", mode="print", key=_KEY, file=name)
