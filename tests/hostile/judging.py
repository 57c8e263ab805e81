"""What has to hold of every job, however hostile its recording."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av

from pipeline.work import Artifact
from tests.hostile.chain import Verdict
from tests.hostile.making import Hostile
from tests.hostile.workplace import Workplace

SECONDS = 60
"""That any job of the corpus may compute."""

MEMORY = 120 * 2**20
"""Bytes that a converter may ever have, with all that it imports."""

CHILD_MEMORY = 2**30
"""Bytes that any of its children may ever have."""

Look = Callable[[Hostile, Verdict], None]
"""Raises AssertionError for more than is wrong with any job."""

_SENTENCE = re.compile(r"[A-Z][^\n/\\<>{}]{10,400}\.")
_INTERNAL = re.compile(r"ffmpeg|libav|Traceback|Error|errno|0x[0-9a-f]|\w+\(|/tmp|None|nan")


def faults(place: Workplace, hostile: Hostile, look: Look, **asked: Any) -> Iterator[str]:
    """What is wrong with what comes of a file, if anything; `asked` goes before what it asks for itself."""
    verdict = place.convert(hostile, **asked)
    try:
        harmless(place, verdict)
        look(hostile, verdict)
    except (AssertionError, av.FFmpegError) as fault:
        yield f"{hostile.name}: {fault}"
    finally:
        place.remove(verdict)


def harmless(place: Workplace, verdict: Verdict) -> None:
    """Raises AssertionError unless the job ended with a reason or with sound, and nothing else is left of it."""
    assert verdict.escaped is None, verdict.escaped
    assert verdict.retry is None, verdict.retry
    assert verdict.before == verdict.after, f"{verdict.before} became {verdict.after}"
    assert verdict.seconds < SECONDS, f"it took {verdict.seconds:.0f} s"
    assert verdict.peak < MEMORY, f"the converter had {verdict.peak >> 20} MB"
    assert verdict.child_peak < CHILD_MEMORY, f"a child had {verdict.child_peak >> 20} MB"
    if verdict.reason is None:
        assert verdict.of("audio"), "neither sound nor reason"
        for audio in verdict.of("audio"):
            whole(place, audio)
    else:
        assert _SENTENCE.fullmatch(verdict.reason), verdict.reason
        assert not _INTERNAL.search(verdict.reason), verdict.reason


def as_expected(hostile: Hostile, verdict: Verdict) -> None:
    """Raises AssertionError unless it was refused for the reason that it has, or taken at the length that it has."""
    if verdict.reason is not None:
        assert hostile.either or hostile.seconds is None, verdict.reason
        assert hostile.reason in verdict.reason, verdict.reason
        return
    assert hostile.seconds is not None, "it was taken"
    for audio in verdict.of("audio"):
        seconds, longest = audio.facts["seconds"], hostile.seconds + 0.1 + hostile.seconds / 1000
        assert seconds < longest, f"{seconds} s became of {hostile.seconds}"
        assert hostile.either or seconds > hostile.seconds - 0.1 - hostile.seconds / 1000, (
            f"{seconds} s are left of {hostile.seconds}"
        )


def whole(place: Workplace, audio: Artifact) -> float:
    """The seconds of a sound file, which has to decode to the end, and to be as long as its facts say."""
    with av.open(place.path(audio)) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        seconds = float(Fraction(samples, stream.rate or 1))
    told = audio.facts["seconds"]
    assert abs(seconds - told) < 0.1 + seconds / 1000, f"{audio.name} is said to have {told} s, and has {seconds}"
    return seconds
