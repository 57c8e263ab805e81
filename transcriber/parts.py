"""One part of a long recording: what of it a speech service gets to hear in one request."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict

from pipeline.work import Artifact, Task

Channel = Literal["left", "right"]

MARGIN: Final = 0.5
"""Seconds of a long silence that are heard at each side of it."""
_MILLISECOND = 0.001
"""Times are kept to it; sums of them are off by less."""


class Span(BaseModel):
    """A stretch of the recording, in seconds; `end` is behind it."""

    model_config = ConfigDict(frozen=True)

    start: float
    end: float


class Clock:
    """From the time of audio, which holds `spans` one after the other, to the time of what they were cut out of, and back.

    Models are a little early or late. So within `margin` seconds of where two spans meet, what begins does so with the second
    one, and what ends does so with the first; the places of both may be an hour apart. `gap`: seconds of silence that were put
    between two of them.
    """

    def __init__(self, spans: Iterable[Span], margin: float = _MILLISECOND, gap: float = 0.0) -> None:
        """Raises ValueError for none."""
        self._spans, self._margin, self._gap = tuple(spans), margin, gap
        if not self._spans:
            raise ValueError("audio of nothing has no time")
        lengths = (span.end - span.start + gap for span in self._spans)
        *self._begin, end = accumulate(lengths, initial=0.0)
        self._end = [begin - gap for begin in (*self._begin[1:], end)]
        self.seconds = end - gap

    def placed(self, start: float, end: float) -> tuple[float, float]:
        """When that was which lies from `start` to `end` in the audio; before its beginning and behind its end, those."""
        first = max(bisect_right(self._begin, start + self._margin) - 1, 0)
        last = max(bisect_left(self._begin, end - self._margin) - 1, 0)
        if last < first:
            first = last = self.number((start + end) / 2)
        return self._within(first, start), self._within(last, end)

    def number(self, time: float) -> int:
        """Of the span in which `time` of the audio is, or to which it is nearest in the silence between two."""
        return max(bisect_right(self._begin, time + self._gap / 2) - 1, 0)

    def without_gaps(self, start: float, end: float) -> tuple[float, float]:
        """Both in the audio: without the silence at the edges of what lasts from `start` to `end`, if it is not all that there is."""
        first, last = bisect_right(self._end, start), bisect_left(self._begin, end) - 1
        if first >= len(self._begin) or last < 0 or self._begin[first] >= end or self._end[last] <= start:
            return start, end
        return max(start, self._begin[first]), min(end, self._end[last])

    def placed_in(self, number: int, start: float, end: float) -> tuple[float, float]:
        """The same as `placed` for what was said in one span, whatever the times."""
        return self._within(number, start), self._within(number, end)

    def heard(self, time: float) -> float:
        """Where in the audio `time` is; what is left out is where the audio goes on."""
        index = max(bisect_right(self._spans, time, key=lambda span: span.start) - 1, 0)
        span = self._spans[index]
        return self._begin[index] + min(max(time, span.start), span.end) - span.start

    def _within(self, index: int, time: float) -> float:
        span = self._spans[index]
        return round(min(max(span.start + time - self._begin[index], span.start), span.end), 3)


class Part(BaseModel):
    """The args of a task `transcribe`, and the facts of the artifacts `speech` (its audio) and `heard` (its layer)."""

    model_config = ConfigDict(frozen=True)

    run: int = 0
    """Counts from 0: a recording may be transcribed again."""
    part: int
    """Counts from 0 over all channels of a run."""
    parts: int = 1
    """How many parts the run has."""
    spans: tuple[Span, ...]
    """What the audio holds of the recording, one after the other: long silences between them are left out."""
    overlap: float = 0.0
    """Seconds at the beginning that the part before has at its end too, because there was no silence to cut at."""
    channel: Channel | None = None
    """The one that is heard, where each is a speaker by itself."""

    @property
    def key(self) -> tuple[int, int]:
        """What no other part of the job has."""
        return self.run, self.part

    @property
    def seconds(self) -> float:
        """Of its audio."""
        return self._clock.seconds

    def recorded(self, start: float, end: float) -> tuple[float, float]:
        """Where in the recording that is which lies from `start` to `end` in the part's audio; all in seconds."""
        return self._clock.placed(start, end)

    def heard(self, time: float) -> float:
        """Where in the part's audio `time` of the recording is."""
        return self._clock.heard(time)

    @cached_property
    def _clock(self) -> Clock:
        return Clock(self.spans, MARGIN)

    @classmethod
    def of(cls, of: Task | Artifact) -> Self:
        return cls.model_validate(of.args if isinstance(of, Task) else of.facts)
