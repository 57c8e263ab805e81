"""The models that are served: on the disk, and one of them in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Timer

from prometheus_client import Gauge

from pipeline.settings import Settings
from speech import memory
from speech.audio import decode
from speech.model import Hearing, Wishes
from speech.sources import Source, source
from speech.whisper import Whisper

_LOADED = Gauge("speech_model_loaded", "Whether the model is in memory.", ("model",))


class Shelf:
    """Loads a model when it is first asked for, in place of the one that was in memory."""

    def __init__(self, settings: Sequence[str], *, idle: float = 0, cache: Path | None = None) -> None:
        """`settings`: as `speech.sources.source` takes them. `idle`: seconds after which an unused model leaves memory; 0 for never.

        Raises ValueError where two have one name.
        """
        self._sources: dict[str, Source] = {}
        for setting in dict.fromkeys(settings):
            name = Path(setting).name
            if name in self._sources:
                raise ValueError(f"SPOOL_SPEECH_MODELS: two models are named {name!r}")
            self._sources[name] = source(setting, cache)
            _LOADED.labels(name).set(0)
        self._idle = idle
        self._using = Lock()
        self._loaded: Whisper | None = None
        self._timer: Timer | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Shelf":
        """Raises ValueError."""
        names = [settings.speech_model, *settings.speech_models.split()]
        return cls(names, idle=settings.speech_idle_seconds, cache=settings.speech_cache)

    def ready(self) -> Mapping[str, bool]:
        return {name: source.there() for name, source in self._sources.items()}

    @contextmanager
    def hearing(self, model: str, audio: Path, wishes: Wishes, beat: Callable[[], None]) -> Iterator[Hearing]:
        with self._whisper(model) as whisper:
            whisper.check(wishes)
            yield whisper.hearing(decode(audio, beat), wishes, beat)

    @contextmanager
    def _whisper(self, name: str) -> Iterator[Whisper]:
        with self._using:
            if self._timer:
                self._timer.cancel()
            try:
                yield self._load(name)
            finally:
                self._wait_for_idleness()

    def _load(self, name: str) -> Whisper:
        if self._loaded is None or self._loaded.name != name:
            folder = self._sources[name].folder()
            self._unload()
            self._loaded = Whisper(name, folder)
            _LOADED.labels(name).set(1)
        return self._loaded

    def _unload(self) -> None:
        if self._loaded:
            _LOADED.labels(self._loaded.name).set(0)
            self._loaded = None
            memory.give_back()

    def _wait_for_idleness(self) -> None:
        if self._idle:
            self._timer = Timer(self._idle, self._rest)
            self._timer.name, self._timer.daemon = "idle-model", True
            self._timer.start()

    def _rest(self) -> None:
        if self._using.acquire(blocking=False):  # who uses it now sets the next timer
            try:
                self._unload()
            finally:
                self._using.release()
