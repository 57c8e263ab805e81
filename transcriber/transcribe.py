"""What a transcriber does for each part of a recording: asks a speech service what is said in it, and when."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path

import structlog

from pipeline.blobs import BlobStore, store
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.ledger import Ledger
from pipeline.options import Wording
from pipeline.speech_models import Model
from pipeline.transcript import MEDIA_TYPE, About, write_layer
from pipeline.work import Artifact, NextTask, Progress, Result, Task
from transcriber import doubt, spending
from transcriber.answer import Answer
from transcriber.excerpt import excerpt, excerpt_clock, said_apart
from transcriber.heard import Heard, heard
from transcriber.parts import Part, Span
from transcriber.request import Request
from transcriber.troubles import Untaken
from transcriber.vendor import Vendor

DELAYS = (2.0, 30.0, 300.0, 3600.0)
"""Seconds before the next call, by the number of the one that failed. After the last there is nothing to wait for."""

_SHORTEST = 0.1
"""Seconds; less is refused by services, and holds no word."""
_PACE = 0.3
"""Seconds that a service needs for a second of speech, roughly; only the shown percent hangs on it."""

log = structlog.get_logger()


def transcribe(
    task: Task,
    blobs: BlobStore,
    folder: Path,
    progress: Progress,
    *,
    pick: Callable[[Wording], Model],
    vendor: Vendor,
    ledger: Ledger,
    waiting: float = 0.0,
) -> Result:
    """Makes a layer of what is said in one part, its times those of the recording.

    `waiting`: how many seconds a service that runs beside us may let a request wait for its turn.

    Raises Retry or Reject.
    """
    progress(0)
    if not task.args:
        raise Reject("This recording came in while the server was upgraded; have it transcribed again.")
    part = Part.of(task)
    speech = _speech(task, part)
    audio = folder / Path(speech.name).name
    blobs.fetch(speech.blob, audio)
    ear = _Ear(task, part, vendor, pick(task.options), ledger, progress, waiting)
    about, pieces = ear.listen(audio)
    path = folder / f"heard-{part.run}-{part.part:04}.jsonl"
    write_layer(path, about, (piece.segment() for piece in pieces))
    kept = _keep(task, blobs, path, part)
    return Result([kept], [NextTask("merge", part.run, {"parts": part.parts})], spent=[speech])


def _speech(task: Task, part: Part) -> Artifact:
    """The part's audio, whatever name was free for it. Raises LookupError."""
    for kept in task.artifacts:
        if kept.kind == "speech" and Part.of(kept).key == part.key:
            return kept
    raise LookupError(f"job {task.job_id} has no audio of part {part.part} of run {part.run}")


@dataclass(frozen=True)
class _Ear:
    """Hears one part through a service."""

    task: Task
    part: Part
    vendor: Vendor
    model: Model
    ledger: Ledger
    progress: Progress
    waiting: float

    def listen(self, audio: Path) -> tuple[About, list[Heard]]:
        """Its times are those of the recording."""
        options, seconds = self.task.options, self.part.seconds
        language, timed, pieces = self._hear(audio, seconds) if seconds >= _SHORTEST else (None, self.model.timed, [])
        if spans := doubt.stretches(pieces):
            pieces = self._again(audio, pieces, spans if timed else [Span(start=0, end=seconds)])
        kept = doubt.settled(pieces)
        about = About(
            self.part.spans[-1].end,
            (language if kept else None) or options.language,
            self.model.name,
            translated=self._translates,
            timed=timed,
        )
        return about, [self._told(piece.at(self.part.recorded)) for piece in kept]

    @property
    def _translates(self) -> bool:
        return self.task.options.translate and self.model.translation

    def _told(self, piece: Heard) -> Heard:
        return piece if self.task.options.speakers else replace(piece, speaker=None)

    def _again(self, audio: Path, pieces: list[Heard], spans: list[Span]) -> list[Heard]:
        """Asks once more, hotter, for all that is doubtful at once; keeps what there is where that is no longer possible."""
        if sum(span.end - span.start for span in spans) < _SHORTEST:
            return pieces
        clock = excerpt_clock(spans)
        whole = spans == [Span(start=0, end=self.part.seconds)]
        try:
            cut = audio if whole else excerpt(audio, spans, self.part.seconds, self.progress)
            _, _, anew = self._hear(cut, clock.seconds, doubt.HOTTER)
        except (Retry, Reject) as trouble:
            log.info("not asked again for what is doubtful", cause=trouble.reason)
            return pieces
        sure = [] if whole else [piece for piece in pieces if not doubt.is_doubtful(piece)]
        placed = (said for piece in anew for said in said_apart(piece, clock))
        return sorted([*sure, *placed], key=lambda piece: (piece.start, piece.end))

    def _hear(self, audio: Path, seconds: float, temperature: float = 0.0) -> tuple[str | None, bool, list[Heard]]:
        """The language, whether the times are the model's own, and what is said in `seconds` of audio."""
        options = self.task.options
        request = Request(audio, self.model, options.language, options.terms, self._translates, temperature=temperature)
        calls: list[int] = []

        def before() -> None:
            if calls:
                self.ledger.take_back(self.task)  # the one before was refused for a field of it, and nothing heard
            calls.append(self.ledger.call(self.task, seconds))

        try:
            answer = self.vendor.ask(request, limit=self._limit(seconds), before=before, beat=self._beat(seconds))
        except Untaken:
            self.ledger.take_back(self.task)
            raise
        except Interrupted:
            if calls:
                self.ledger.excuse(self.task)
            raise
        except Retry as trouble:
            spending.count(self.model, seconds)  # what was heard is to be paid, whatever became of the answer
            raise Retry(trouble.reason, _delay(calls[-1], trouble.delay)) from trouble
        spending.count(self.model, seconds)
        return answer.language, self._is_timed(answer, seconds), doubt.weighed(heard(answer, seconds))

    def _limit(self, seconds: float) -> float:
        return limit(seconds) + (self.waiting if self.model.local else 0.0)

    def _is_timed(self, answer: Answer, seconds: float) -> bool:
        if answer.segments or (self.model.timed and not answer.text.strip()):
            return True
        if self.model.timed:
            log.warning("no times were told, they are shared out by length", model=self.model.name, seconds=seconds)
        return False

    def _beat(self, seconds: float) -> Callable[[float], None]:
        return lambda gone: self.progress(99 * (1 - exp(-gone / (1 + _PACE * seconds))))


def _delay(call: int, asked: float | None) -> float:
    own = DELAYS[call - 1] if call <= len(DELAYS) else 0.0
    return max(own, asked or 0.0)


def limit(seconds: float) -> float:
    """How many seconds a service may take for so many seconds of audio."""
    return 120 + 4 * seconds


def _keep(task: Task, blobs: BlobStore, path: Path, part: Part) -> Artifact:
    blob = task.blob_id(path.name)
    size, digest = store(blobs, blob, path)
    return Artifact(path.name, "heard", MEDIA_TYPE, size, digest, blob, facts=part.model_dump(mode="json"))
