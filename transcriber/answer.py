"""What is read of an OpenAI-shaped service's answer, in any of its JSON formats; whatever else stands there is passed over."""

from math import exp, isfinite
from typing import Annotated, Any

import langcodes
from langcodes.tag_parser import LanguageTagError
from pydantic import BaseModel, BeforeValidator, Field

Seconds = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)]
"""Of the audio that was sent."""


def _figure(given: Any) -> Any:
    """Figures are extras: one that makes no sense (NaN, a text) is none."""
    return given if isinstance(given, int | float) and isfinite(given) else None


Figure = Annotated[float | None, BeforeValidator(_figure)]


def _language(given: Any) -> str | None:
    """The ISO 639 code of a language: OpenAI calls it by its English name, others by its code. None for what is no language."""
    if not isinstance(given, str):
        return None
    try:
        found = langcodes.get(given)
    except LanguageTagError:
        try:
            found = langcodes.find(given)
        except LookupError:
            return None
    code = found.language
    return code if code and len(code) <= 3 and code != "und" and found.is_valid() else None


Language = Annotated[str | None, BeforeValidator(_language)]


class Piece(BaseModel):
    """A segment: of `verbose_json` with Whisper's own figures, of `diarized_json` with who speaks."""

    start: Seconds
    end: Seconds
    text: str
    avg_logprob: Figure = None
    compression_ratio: Figure = None
    no_speech_prob: Figure = None
    speaker: str | None = None


class TimedWord(BaseModel):
    word: str
    start: Seconds
    end: Seconds
    probability: Figure = None
    """Not in OpenAI's own answers."""


class Token(BaseModel):
    logprob: Figure = None


class Answer(BaseModel):
    """`text` is all there is in the plain `json` format, with `logprobs` if they were asked for."""

    text: str
    language: Language = None
    segments: list[Piece] | None = None
    words: list[TimedWord] | None = None
    logprobs: list[Token] | None = None

    @property
    def confidence(self) -> float | None:
        """Of the text as a whole."""
        told = [token.logprob for token in self.logprobs or () if token.logprob is not None]
        return share(sum(told) / len(told)) if told else None


def share(logprob: float | None) -> float | None:
    """A logarithm of a probability, as a probability."""
    return None if logprob is None else exp(min(logprob, 0.0))
