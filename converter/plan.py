"""Which `encode` tasks make the sound files of a job: one for the whole, or one for each part of a long MP3."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from converter import outputs
from converter.filters import stateful
from converter.mp3 import frame_samples, padding_period
from converter.parts import Part, seekable
from pipeline.audio import Profile
from pipeline.options import Options
from pipeline.recording import Track
from pipeline.work import NextTask

_MOST_DECODED = 4
"""Parts of a track that is decoded from its beginning for each of them: beyond, decoding costs more than is won."""
_LEAST = 98
"""Frames of a part, so that its seams lie apart."""


@dataclass(frozen=True)
class Planner:
    """Its fields are the installation's, as in `Settings`."""

    bitrate_kbit: int
    part_minutes: float
    most_parts: int

    def encodings(
        self, options: Options, track: Track, measured: Mapping[str, Any] = MappingProxyType({})
    ) -> list[NextTask]:
        """The tasks for all sound files that `options` ask for.

        `measured`: what the tasks get to know of the sound, nothing or `{"level": ..., "seconds": ..., ...}`.
        """
        profile = options.profile(self.bitrate_kbit)
        seconds = measured.get("seconds") or profile.seconds(track.seconds)
        parts = list(_parts(profile, track, seconds, 60 * self.part_minutes, self.most_parts))
        # Where a sound ends that breaks off, encoders that work side by side do not know.
        if len(parts) < 2 or options.partial or not _divisible(profile, track):
            return [NextTask("encode", args=dict(measured))]
        args: list[dict[str, Any]] = [{"part": part.model_dump()} for part in parts]
        if rest := [form for form in profile.audio if form != "mp3"]:
            args.append({"audio": rest})
        return [NextTask("encode", number, {**measured, **each}) for number, each in enumerate(args)]


def _divisible(profile: Profile, track: Track) -> bool:
    """There is an MP3 to encode, and nothing in it depends on all that was before."""
    return "mp3" in profile.audio and not stateful(profile) and not outputs.copied("mp3", profile, track)


def _parts(profile: Profile, track: Track, seconds: float, least: float, most: int) -> Iterator[Part]:
    """Parts of at least `least` seconds, nearly equal, which begin where frames of constant bit rate have their sizes anew."""
    rate = outputs.sample_rate("mp3", profile, track)
    period, frames = padding_period(rate), int(seconds * rate / frame_samples(rate))
    wanted = min(int(seconds / least), most if seekable(profile, track) else min(most, _MOST_DECODED))
    count = max(1, min(wanted, frames // _LEAST))
    seams = [frames * number // count // period * period for number in range(count)]
    return (Part(first=first, next=following) for first, following in pairwise([*seams, None]) if first is not None)
