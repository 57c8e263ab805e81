"""The speech models of an installation, their limits and what they can. What is known of models is data, `speech_models.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from pipeline.errors import Reject
from pipeline.options import Wording
from pipeline.settings import Settings

AudioForm = Literal["flac", "opus"]

BYTES_PER_SECOND: Mapping[AudioForm, int] = {"flac": 32_500, "opus": 6_300}
"""Of a part's audio, at most: mono, 16 kHz, 16 bits a sample, or 48 kbit/s, with the container."""

_ROOM = 0.9
"""Of a limit: cuts are made at silences before it."""

_LONGEST, _LONGEST_LOCAL, _LONGEST_UNTIMED = 1200.0, 600.0, 90.0
"""Seconds of a part: so that a failed one costs little, so that replicas share the work, and so that cues that share out its
time are seldom far off."""

_NEAR = timedelta(days=90)


class Model(BaseModel):
    """What one model can; what is not said is the safest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """As the service is asked for it."""
    bytes: int = 25_000_000
    """That a request's file may have."""
    seconds: float = 1400
    """That a request's audio may last."""
    formats: tuple[Literal["json", "text", "verbose_json", "diarized_json"], ...] = ("json",)
    words: bool = False
    """It can tell the times of words."""
    languages: tuple[str, ...] | None = None
    """ISO 639-1; None for many."""
    diarization: bool = False
    prompt: bool = False
    """It takes a prompt, so that it spells names as they should be."""
    keywords: bool = False
    """It takes names and terms as `keywords`, and the language as `languages`."""
    logprobs: bool = False
    """It tells the log probability of tokens beside a plain text."""
    translation: bool = False
    """/v1/audio/translations takes it."""
    local: bool = False
    """It runs beside us: audio needs not be small."""
    price: float | None = None
    """US dollars a minute."""
    ends: date | None = None
    """The day on which its maker takes it away."""

    @property
    def timed(self) -> bool:
        """It tells when something was said."""
        return self.format != "json"

    @property
    def format(self) -> Literal["json", "verbose_json", "diarized_json"]:
        """The one that tells most."""
        if self.diarization and "diarized_json" in self.formats:
            return "diarized_json"
        return "verbose_json" if "verbose_json" in self.formats else "json"

    @property
    def audio(self) -> AudioForm:
        return "flac" if self.local else "opus"

    @property
    def part_seconds(self) -> float:
        """How much speech a part may hold: nine tenths of what the model takes, and little where it tells no times."""
        longest = _LONGEST if self.timed else _LONGEST_UNTIMED
        longest = min(longest, _LONGEST_LOCAL) if self.local else longest
        return min(longest, _ROOM * self.seconds, _ROOM * self.bytes / BYTES_PER_SECOND[self.audio])

    def knows(self, language: str) -> bool:
        """`language`: ISO 639-1."""
        return self.languages is None or language in self.languages

    @property
    def translates(self) -> bool:
        """What it writes down can be English, whatever was spoken; a model that knows nothing else writes no other."""
        return self.translation or self.languages == ("en",)

    def ends_soon(self, today: date) -> bool:
        """It has ended, or will within 90 days."""
        return self.ends is not None and self.ends - today <= _NEAR


def model(name: str) -> Model:
    """The row of `name`, or the safest one under that name. Of a local folder its name is what counts, and all that is told."""
    path = PurePath(name)
    return Model.model_validate({**_table().get(path.name, {}), "name": path.name if path.is_absolute() else name})


@cache
def _table() -> Mapping[str, Mapping[str, object]]:
    rows = tomllib.loads(files("pipeline").joinpath("speech_models.toml").read_text())["model"]
    return {name: {key: value for key, value in row.items() if key != "names"} for row in rows for name in row["names"]}


class Unfit(Reject):
    """What is asked of a speech model is not to be had here; `option` is what asks for it."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(reason)
        self.option = option


@dataclass(frozen=True)
class Choice:
    """The models of an installation; the first is asked where a job names none."""

    models: tuple[Model, ...]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        names = (settings.speech_model, *settings.speech_models.split())
        return cls(tuple(model(name) for name in dict.fromkeys(names)))

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.models]

    def named(self, name: str | None) -> Model:
        """Raises Unfit for one that is not among them."""
        for one in self.models:
            if name in (None, one.name):
                return one
        raise Unfit("model", f"This server has no speech model of that name. It has: {', '.join(self.names)}.")

    def fitting(self, wording: Wording) -> Model:
        """The model for a job. Raises Unfit where it is not there, or cannot do what is asked for."""
        chosen = self.named(wording.model)
        if wording.language and not chosen.knows(wording.language):
            raise Unfit("language", f"The speech model {chosen.name} does not know the language that was asked for.")
        if wording.translate and not chosen.translates:
            raise Unfit("translate", f"The speech model {chosen.name} cannot translate.")
        return chosen
