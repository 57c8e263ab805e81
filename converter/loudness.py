"""How loud a sound is, measured by ffmpeg's `ebur128` on its way to wherever it goes.

meter = Meter()
run(ffmpeg.output(meter.on(stream), ...), ..., log=meter.read)
meter.level
"""

import math
import re
from typing import Any

from pipeline.recording import Level

_SILENCE = -70.0
"""LUFS: quieter blocks are not counted, ITU-R BS.1770-4, annex 1."""

_SUMMARY = re.compile(
    r"Parsed_ebur128.* Summary:\s+"
    r"Integrated loudness:\s+I:\s+(?P<integrated>\S+) LUFS.*?"
    r"Loudness range:\s+LRA:\s+(?P<range>\S+) LU.*?"
    r"True peak:\s+Peak:\s+(?P<peak>\S+) dBFS",
    re.DOTALL,
)


class Meter:
    """Measures one sound during one run of ffmpeg; figures have one decimal."""

    level: Level
    """Set once `read` was called."""

    def on(self, stream: Any) -> Any:
        """`stream` (of ffmpeg-python) with the meter in it; the samples go through as they are."""
        return stream.filter("ebur128", peak="true", framelog="quiet")

    def read(self, log: str) -> None:
        """Takes what ffmpeg said. Raises ValueError if no meter was in that run."""
        found = list(_SUMMARY.finditer(log))
        if not found:
            raise ValueError("ffmpeg measured no loudness")
        self.level = _level(**{name: float(figure) for name, figure in found[-1].groupdict().items()})


def _level(integrated: float, range: float, peak: float) -> Level:
    if not integrated > _SILENCE or not math.isfinite(integrated):
        return Level(integrated=None, true_peak=_finite(peak))
    return Level(integrated=integrated, range=_finite(range), true_peak=_finite(peak))


def _finite(figure: float) -> float | None:
    """JSON has neither infinity nor NaN: digital silence has such a peak, samples that are none have such a loudness."""
    return figure if math.isfinite(figure) else None
