"""Sound as bare samples: mono, 16 kHz, 16 bits, nothing else in the file. So any stretch of it is found by its time."""

import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from transcriber.parts import Span

RATE: Final = 16_000
"""Hz, at which speech models hear."""
BARE: Final[dict[str, Any]] = {"format": "s16le", "ac": 1, "ar": RATE, "map_metadata": -1, "map_chapters": -1}
"""What ffmpeg is told to write such a file."""

_BYTES: Final = 2
_AT_ONCE: Final = 60 * RATE


def put_together(sound: Path, spans: Iterable[Span], made: Path, gap: float = 0.0) -> None:
    """Writes a WAV file of `spans` of `sound`, one after the other, to the sample; what `sound` lacks is silence.

    There are `gap` seconds of silence between two.

    The expressions of ffmpeg's filters hold 100 spans, and are worked out anew for every frame.
    """
    with sound.open("rb") as source, wave.open(str(made), "wb") as target:
        target.setparams((1, _BYTES, RATE, 0, "NONE", ""))
        for number, span in enumerate(spans):
            target.writeframesraw(bytes(_BYTES * round(gap * RATE) if number else 0))
            first, last = round(span.start * RATE), round(span.end * RATE)
            source.seek(_BYTES * first)
            for at in range(first, last, _AT_ONCE):
                wanted = _BYTES * min(_AT_ONCE, last - at)
                target.writeframesraw(source.read(wanted).ljust(wanted, b"\0"))
