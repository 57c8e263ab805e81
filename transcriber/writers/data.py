"""json: everything that is known."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.options import Wording
from pipeline.transcript import Layer, Segment, Word, fold, joint


def as_json(layer: Layer, path: Path, _wishes: Wording) -> None:
    """`{"language", "duration", "model", "translated", "timed", "text", "segments": [{"start", "end", "text", ...}]}`; times in seconds.

    `language` and `model` are null where they are not known, `text` is all segments. A segment has `speaker`, `confidence` and
    `words` (`[{"start", "end", "text", "confidence"}]`) where these are known, and `doubtful` where it is.
    """
    about = layer.about
    known = {"language": about.language, "duration": about.duration, "model": about.model}
    known |= {"translated": about.translated, "timed": about.timed}
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("{\n")
        for name, value in known.items():
            file.write(f"  {json.dumps(name)}: {_dumps(value)},\n")
        file.write('  "text": "')
        file.writelines(_texts(layer))
        file.write('",\n  "segments": [')
        for number, segment in enumerate(layer.segments()):
            file.write(f"{',' if number else ''}\n    {_dumps(_segment(segment))}")
        file.write("\n  ]\n}\n")


def _texts(layer: Layer) -> Iterator[str]:
    """The whole text in pieces, without quotes around them: nobody needs to hold hours of it."""
    before = ""
    for segment in layer.segments():
        text = fold(segment.text)
        if before and text:
            yield joint(before, text)
        yield _dumps(text)[1:-1]
        before = text or before


def _segment(segment: Segment) -> dict[str, Any]:
    told: dict[str, Any] = {"start": segment.start, "end": segment.end, "text": fold(segment.text)}
    told |= _known(speaker=segment.speaker and fold(segment.speaker), confidence=segment.confidence)
    if segment.doubtful:
        told["doubtful"] = True
    if segment.words:
        told["words"] = [_word(word) for word in segment.words]
    return told


def _word(word: Word) -> dict[str, Any]:
    return {"start": word.start, "end": word.end, "text": fold(word.text), **_known(confidence=word.confidence)}


def _known(**told: Any) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
