"""The files that can be made of a transcript."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.options import Format, Wording
from pipeline.transcript import Layer
from transcriber.writers.data import as_json
from transcriber.writers.prose import docx, md, txt
from transcriber.writers.subtitles import srt, vtt


@dataclass(frozen=True)
class Form:
    type: str
    """Media type, RFC 6838."""
    write: Callable[[Layer, Path, Wording], None]
    """Writes a layer to a new file. Of a layer in which nothing is said it makes a file that is valid and empty."""


FORMATS: Mapping[Format, Form] = {
    "txt": Form("text/plain; charset=utf-8", txt),
    "srt": Form("application/x-subrip", srt),
    "vtt": Form("text/vtt", vtt),
    "json": Form("application/json", as_json),
    "docx": Form("application/vnd.openxmlformats-officedocument.wordprocessingml.document", docx),
    "md": Form("text/markdown; charset=utf-8", md),
}
"""By extension."""
