"""How many samples an encoder was given. What ffmpeg's muxer tells of an MP3's end may be 46 too many: its packets drop 1152 at most."""

import re
from typing import Any

_AT_A_TIME = 2**14
"""As many as still fit into the processor's cache: four times as many make encoding an eighth slower."""
_SHOWN = re.compile(r"ashowinfo.* n:(?P<before>\d+) pts:.* nb_samples:(?P<these>\d+)")


class Count:
    """Counts samples on their way through one stream of a run of ffmpeg."""

    samples: int
    """Of each channel; set once `read` was called."""

    @staticmethod
    def on(stream: Any) -> Any:
        return stream.filter("asetnsamples", n=_AT_A_TIME, pad=0).filter("ashowinfo")

    def read(self, log: str) -> None:
        """Takes what ffmpeg said."""
        self.samples = 0
        for shown in _SHOWN.finditer(log):
            self.samples = int(shown["before"]) * _AT_A_TIME + int(shown["these"])
