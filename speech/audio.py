"""Any recording, as the samples that Whisper hears."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ffmpeg

from pipeline.decoding import Decoder
from pipeline.ffmpeg import FFmpegFailed
from speech.model import Unusable

RATE = 16_000
"""Samples a second, one channel, 16 bits each."""

LONGEST = 12 * 3600
"""Seconds of the longest recording."""

_DEADLINE = 1800


def decode(audio: Path, beat: Callable[[], None]) -> Any:
    """Returns the samples as an array of int16 that stays on the disk, beside `audio`. Raises Unusable, and what `beat` raises."""
    output = partial(
        ffmpeg.output, filename="file:samples.raw", format="s16le", ac=1, ar=RATE, t=LONGEST + 1, map_metadata=-1
    )
    try:
        seconds = Decoder(audio.parent, audio.name, RATE, channels=1).run(
            output,
            duration=None,
            deadline=_DEADLINE,
            progress=lambda *_: beat(),
            output_limit=2 * RATE * (LONGEST + 2),
        )
    except FFmpegFailed as failure:
        if failure.kind == "machine":
            raise
        raise Unusable("The file could not be read as audio.", "file") from failure
    if seconds > LONGEST:
        raise Unusable(f"The recording is longer than {LONGEST // 3600} hours.", "file")
    return _samples(audio.with_name("samples.raw"))


def _samples(raw: Path) -> Any:
    import numpy as np

    if not raw.stat().st_size:  # an empty file cannot be mapped
        return np.zeros(0, np.int16)
    return np.memmap(raw, np.int16, mode="r")
