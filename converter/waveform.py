"""The outline of a sound, for pages: the least and the greatest sample of each pixel, as numbers and as a picture."""

import json
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

_PIXELS_A_SECOND = 100
_MOST_PIXELS = 100_000
_BLOCK = 2**18
"""Samples that are looked at together, or one pixel."""
_STEPS = 256
"""Of 16 bits in one of 8."""

WIDTH, HEIGHT = 1800, 280
_COLOUR = (0x38, 0x8B, 0xC4)
"""On nothing: seen on white as well as on black."""
_SOFTEST = 13
"""Of 128: what stays below a tenth of full scale does not fill the picture."""


@dataclass(frozen=True)
class Waveform:
    """Of one channel; `least` and `greatest` go from -128 to 127."""

    sample_rate: int
    samples_per_pixel: int
    least: NDArray[np.int8]
    greatest: NDArray[np.int8]

    @classmethod
    def read(cls, samples: BinaryIO, sample_rate: int, seconds: float) -> Self:
        """Of 16-bit samples in the machine's order, to their end. `seconds`: about how long they are, which says how fine it gets."""
        width = max(sample_rate // _PIXELS_A_SECOND, int(seconds * sample_rate) // _MOST_PIXELS + 1)
        least, greatest = [], []
        while block := samples.read(2 * width * (_BLOCK // width or 1)):
            pixels = _pixels(np.frombuffer(block[: len(block) // 2 * 2], np.int16), width)
            least.append(pixels.min(axis=1))
            greatest.append(pixels.max(axis=1))
        return cls(sample_rate, width, _bytes(least), _bytes(greatest))

    def json(self) -> str:
        """https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md, version 2."""
        described: dict[str, Any] = {
            "version": 2,
            "channels": 1,
            "sample_rate": self.sample_rate,
            "samples_per_pixel": self.samples_per_pixel,
            "bits": 8,
            "length": len(self.least),
            "data": np.stack([self.least, self.greatest], axis=1).ravel().tolist(),
        }
        return json.dumps(described, separators=(",", ":"))

    def picture(self) -> bytes:
        """RGBA, `WIDTH` x `HEIGHT`; silence is a line."""
        columns = np.arange(WIDTH) * len(self.least) // WIDTH
        low, high = np.zeros(WIDTH), np.zeros(WIDTH)
        if len(self.least):
            low, high = np.minimum.reduceat(self.least, columns), np.maximum.reduceat(self.greatest, columns)
        scale = (HEIGHT / 2 - 1) / max(_SOFTEST, -int(low.min()), int(high.max()))
        heights = HEIGHT / 2 - 0.5 - np.arange(HEIGHT)[:, np.newaxis]
        drawn = (heights <= np.maximum(0, high * scale) + 0.5) & (heights >= np.minimum(0, low * scale) - 0.5)
        pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        pixels[drawn] = (*_COLOUR, 255)
        return pixels.tobytes()


def _pixels(samples: NDArray[np.int16], width: int) -> NDArray[np.int16]:
    """A row for each pixel; the last one is filled up with its own last sample."""
    return np.pad(samples, (0, -len(samples) % width), mode="edge").reshape(-1, width)


def _bytes(peaks: list[NDArray[np.int16]]) -> NDArray[np.int8]:
    """Towards zero, as audiowaveform has it."""
    joined = np.concatenate(peaks) if peaks else np.zeros(0, np.int16)
    return np.trunc(joined / _STEPS).astype(np.int8)
