"""srt and vtt, a cue at a time.

Written out here rather than by a subtitle library: those read `{...}` and backslashes in speech as styling, and stop at 100 hours.
"""

from html import escape
from pathlib import Path

from pipeline.options import Wording
from pipeline.transcript import Layer, fold
from transcriber.cues import Cue, cues

_NO_MARKUP = str.maketrans("<>{}\\", "＜＞｛｝＼")  # noqa: RUF001
"""SubRip has no escapes: what players take for tags, styles, line ends and arrows looks the same, but is none."""


def srt(layer: Layer, path: Path, _wishes: Wording) -> None:
    """SubRip, https://www.loc.gov/preservation/digital/formats/fdd/fdd000569.shtml."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, cue in enumerate(cues(layer), 1):
            text = "\n".join(cue.lines).translate(_NO_MARKUP)
            file.write(f"{number}\n{_times(cue, ',')}\n{text}\n\n")


def vtt(layer: Layer, path: Path, _wishes: Wording) -> None:
    """WebVTT, https://www.w3.org/TR/webvtt1/; who speaks is told by voice spans."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("WEBVTT\n\n")
        for cue in cues(layer):
            text = escape("\n".join(cue.lines), quote=False)
            file.write(f"{_times(cue, '.')}\n{_voice(cue.speaker)}{text}\n\n")


def _voice(speaker: str | None) -> str:
    """It holds for the whole cue, and then needs no end."""
    name = escape(fold(speaker or ""), quote=False)
    return f"<v {name}>" if name else ""


def _times(cue: Cue, point: str) -> str:
    return f"{_clock(cue.start, point)} --> {_clock(cue.end, point)}"


def _clock(milliseconds: int, point: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"
