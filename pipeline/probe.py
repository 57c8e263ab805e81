"""What a stranger's file holds, found out by libav (PyAV) in a child process that its contents cannot get out of."""

import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline import child
from pipeline.ffmpeg import GUARDS
from pipeline.recording import Chapter
from pipeline.work import Progress

_MEMORY = 2**30
_LONGEST = 2**20
"""Bytes of answer that are read."""

_HEAD = 1024
"""First bytes by which a playlist is recognised."""

Why = Literal["empty", "not media", "damaged", "no index", "streams", "playlist", "time", "memory", "machine"]

_PLAYLIST = re.compile(
    rb"\s*(#EXTM3U|ffconcat version|\[playlist\]|v=0\r?\n|<asx|<smil|<playlist"  # HLS and M3U, concat, PLS, SDP, ASX, SMIL, XSPF
    rb"|(<\?xml[^>]*>\s*)?<(MPD|smil|playlist|SmoothStreamingMedia))",  # DASH, Smooth Streaming
    re.IGNORECASE,
)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
"""Of XML; taken out by itself, since a pattern that passes over any number of them takes exponential time where it fails."""
_ELSEWHERE = re.compile(r"Skipped opening external track: stream (\d+)")
"""How libav says that a QuickTime file names another file for its data (`dref`)."""

_SYMPTOMS: tuple[tuple[str, Why], ...] = (
    ("max_streams", "streams"),
    ("MemoryError", "memory"),
    ("Cannot allocate memory", "memory"),
    ("misdetection possible", "not media"),
    ("moov atom not found", "no index"),
    ("not on whitelist", "not media"),
    ("last error log", "damaged"),
)
"""What libav says, and what is wrong then; where it has nothing to say, no format knew the file."""


class Sound(BaseModel):
    """One stream of sound."""

    model_config = ConfigDict(frozen=True)

    index: int
    """Its place among all streams of the file."""
    codec: str | None = None
    """libav's name of the decoder; None if it has none."""
    channels: int = 0
    sample_rate: int = 0
    """Hz."""
    bits: int | None = None
    """Of a sample, as the decoder gives it."""
    bit_rate: int | None = None
    """Bits a second, where the file says so."""
    constant: bool = False
    """An MP3 whose bit rate does not change."""
    duration: float | None
    """Seconds that the file's header promises; None where it promises nothing."""
    late: float = 0.0
    """Seconds of the recording before it begins."""
    early: float = 0.0
    """Seconds by which ffmpeg begins too early when it takes this sound alone: it forgets pictures that it cannot decode, and in
    formats whose clocks may jump (MPEG-TS, Ogg) all that it does not take."""
    default: bool
    """Marked by its maker as the one to play."""
    language: str | None = None
    """ISO 639 or RFC 5646, as the file has it."""
    title: str | None = None
    bytes: int | None = None
    """Of all its packets, where the container lists them."""
    steady: bool = False
    """The container lists all packets, they are all in the file, and each begins where the one before ends."""
    exact: bool = False
    """As `pipeline.recording.Track.exact`."""
    elsewhere: bool = False
    """Its data are in another file."""


class Probe(BaseModel):
    model_config = ConfigDict(frozen=True)

    format: str
    """libav's name of the demuxer."""
    duration: float | None
    """Seconds of the longest stream; perhaps a guess."""
    begins: float
    """Seconds that its clock shows at its beginning."""
    missing: float
    """How many times larger the file is by its header than it is; 1 where that is not told."""
    encrypted: bool
    besides: int
    """How many streams are neither sound nor attached pictures nor data."""
    sound: tuple[Sound, ...]
    picture: int | None = None
    """The place among all streams of an attached picture, such as a cover, if it is JPEG or PNG."""
    tags: dict[str, str] = {}
    """Of `title`, `artist`, `date` those that there are."""
    chapters: tuple[Chapter, ...] = ()


class Unreadable(Exception):
    """The file is no recording of a kind that is taken, or too damaged to tell. The text is for the log.

    `why`: what is wrong with it, `machine` if it is not to blame.
    """

    def __init__(self, why: Why, log: str = "") -> None:
        super().__init__(f"{why}: {log}")
        self.why = why


def probe(path: Path, *, deadline: float, progress: Progress) -> Probe:
    """Looks into the file at `path` for at most `deadline` seconds; calls `progress` with 0 meanwhile, and lets it raise.

    Raises Unreadable.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise Unreadable("empty")
    if _PLAYLIST.match(_COMMENT.sub(b"", head)):
        raise Unreadable("playlist")
    answer = bytearray()
    try:
        ended = child.run(
            _command(path),
            folder=path.parent,
            limits=child.Limits(seconds=deadline, memory=_MEMORY, file_size=0),
            hear=_bounded(answer),
            tick=lambda: progress(0),
        )
    except child.OutOfTime:
        raise Unreadable("time") from None
    try:
        found = Probe.model_validate_json(bytes(answer))
    except ValidationError as error:
        raise Unreadable(_why(ended), ended.log) from error
    return _judged(found, ended.log)


def _command(path: Path) -> list[str]:
    options = json.dumps({key: str(value) for key, value in GUARDS.items()})
    return [sys.executable, "-IB", str(Path(__file__).with_name("probe_child.py")), f"file:{path.name}", options]


def _bounded(answer: bytearray) -> Callable[[bytes], None]:
    def hear(chunk: bytes) -> None:
        answer.extend(chunk)
        if len(answer) > _LONGEST:
            raise Unreadable("damaged", "the answer is too long")

    return hear


def _why(ended: child.Ended) -> Why:
    if ended.status == -signal.SIGKILL:
        return "machine"
    if ended.status < 0:
        return "damaged"
    return next((why for symptom, why in _SYMPTOMS if symptom in ended.log), "not media")


def _judged(found: Probe, log: str) -> Probe:
    """With what libav only says: sound that is elsewhere, and Windows Media's encryption."""
    elsewhere = {int(index) for index in _ELSEWHERE.findall(log)}
    sound = [stream.model_copy(update={"elsewhere": stream.index in elsewhere}) for stream in found.sound]
    return found.model_copy(
        update={"sound": tuple(sound), "encrypted": found.encrypted or "DRM protected stream" in log}
    )
