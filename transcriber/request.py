"""What a speech service is asked, as the fields of its form.

https://developers.openai.com/api/docs/api-reference/audio tells of them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.speech_models import Model

_PROMPT_BYTES = 224 * 3
"""Whisper heeds the last 224 tokens of a prompt, and a token of a name is three bytes or more as a rule."""

_TOLD_BY = {"response_format", "timestamp_granularities", "chunking_strategy", "include"}
"""Fields that ask for more than a text."""
_OPTIONAL = _TOLD_BY | {"prompt", "keywords", "temperature"}
"""Fields that a transcript can do without."""

_SENTENCES = re.compile(r"(?<=[.;!])\s+|\n")
_REFUSES = re.compile(
    r"\b(?:unsupported|unknown|unrecogni[sz]ed|unexpected|not (?:compatible|supported|known|allowed|permitted))\b", re.I
)


@dataclass(frozen=True)
class Request:
    audio: Path
    model: Model
    language: str | None = None
    """ISO 639-1, if it is known."""
    terms: Sequence[str] = ()
    """Names and terms that occur, spelt as they should be."""
    translate: bool = False
    """Into English."""
    temperature: float = 0.0
    """0 to 1: how much the model may try its luck; at 0 it raises it by itself where it must."""

    def form(self, refused: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Beside the file, for the SDK; without the fields `refused`."""
        fields = {"model": self.model.name} | self._spoken() | self._named() | self._wanted()
        if self.temperature:
            fields["temperature"] = self.temperature
        return {name: value for name, value in fields.items() if name not in refused}

    def _spoken(self) -> dict[str, Any]:
        if self.language is None or self.translate:  # the translations endpoint finds it out by itself
            return {}
        return {"languages": [self.language]} if self.model.keywords else {"language": self.language}

    def _named(self) -> dict[str, Any]:
        if not self.terms or not (self.model.keywords or self.model.prompt):
            return {}
        return {"keywords": list(self.terms)} if self.model.keywords else {"prompt": prompt(self.terms)}

    def _wanted(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {}
        if self.model.timed:  # a plain text is what everybody gives who is not asked
            wanted["response_format"] = self.model.format
        if self.model.format == "diarized_json":
            wanted["chunking_strategy"] = "auto"
        if self.model.words and self.model.format == "verbose_json" and not self.translate:
            wanted["timestamp_granularities"] = ["word", "segment"]
        if self.model.logprobs and not self.model.timed and not self.translate:
            wanted["include"] = ["logprobs"]
        return wanted


def prompt(terms: Sequence[str]) -> str:
    """As many of `terms` as Whisper heeds, the first ones first."""
    return ", ".join(_fitting(terms)) + "."


def _fitting(terms: Sequence[str]) -> Iterator[str]:
    left = _PROMPT_BYTES
    for term in terms:
        left -= len(term.encode()) + 2
        if left < 0:
            return
        yield term


def to_leave_out(sent: Iterable[str], param: str | None, message: str) -> frozenset[str]:
    """Which of the fields `sent` a service does not take, from its refusal: the field that it blames, if any, and what it says.

    Without a format that tells times a text is all that can be asked for.
    """
    if param:
        refused = {param.partition("[")[0]}
    else:
        refused = {name for line in _SENTENCES.split(message) if _REFUSES.search(line) for name in _named(line)}
    if "response_format" in refused:
        refused |= _TOLD_BY
    return frozenset(refused & _OPTIONAL & set(sent))


def _named(sentence: str) -> Iterator[str]:
    """Fields that it speaks of. Of those whose names are everyday words only the ones that it sets apart."""
    for name in _OPTIONAL:
        if re.search(rf"\b{name}\b" if "_" in name else rf"([\"'`(\[]){name}[\"'`)\]]|\b{name}\[\]", sentence):
            yield name
