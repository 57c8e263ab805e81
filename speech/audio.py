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


def decode(audio: Path, beat: Callable[[], None]) -> "Samples":
    """Returns the samples, which stay on the disk, beside `audio`. Raises Unusable, and what `beat` raises."""
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
    return Samples(audio.with_name("samples.raw"))


class Samples:
    """Sixteen-bit samples in a file. Slices of it are read each time: a mapped file would count as memory."""

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        self._length = raw.stat().st_size // 2

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> Any:
        """An array of int16."""
        import numpy as np

        begin, end, _ = part.indices(self._length)
        return np.fromfile(self._raw, np.int16, end - begin, offset=2 * begin)
