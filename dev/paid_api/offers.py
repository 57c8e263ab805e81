"""What the paid API offers and refuses, model by model: told apart from `pipeline/speech_models.toml`, so that the one checks the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

MOST_BYTES = 25 * 2**20
_CHUNKING_SECONDS = 30
"""Beyond this, a model that tells speakers apart has to be told how to cut."""
_EXTENSIONS = {".flac", ".m4a", ".mp3", ".mp4", ".mpeg", ".mpga", ".oga", ".ogg", ".wav", ".webm"}


@dataclass(frozen=True)
class Offer:
    formats: tuple[str, ...]
    seconds: float | None = None
    optional: frozenset[str] = frozenset({"language", "prompt", "temperature", "response_format"})
    """Fields that it takes beside the file and the model."""
    translates: bool = False


_4O = Offer(
    ("json", "text"),
    1400,
    frozenset({"language", "prompt", "temperature", "response_format", "include[]", "chunking_strategy"}),
)
OFFERS: Mapping[str, Offer] = {
    "whisper-1": Offer(
        ("json", "text", "srt", "verbose_json", "vtt"),
        optional=frozenset({"language", "prompt", "temperature", "response_format", "timestamp_granularities[]"}),
        translates=True,
    ),
    "gpt-4o-transcribe": _4O,
    "gpt-4o-mini-transcribe": _4O,
    "gpt-4o-transcribe-diarize": Offer(
        ("json", "text", "diarized_json"),
        1400,
        frozenset({"language", "temperature", "response_format", "chunking_strategy"}),
    ),
    "gpt-transcribe": Offer(("json",), optional=frozenset({"prompt", "keywords[]", "languages[]"})),
}


class Refused(Exception):
    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}


def check(form: Mapping[str, list[str]], name: str, size: int, seconds: float, translates: bool) -> None:
    """Raises Refused as the paid API would for a file of `size` bytes and `seconds`."""
    model = form.get("model", [""])[0]
    offer = OFFERS.get(model)
    if offer is None or (translates and not offer.translates):
        raise Refused(
            404, f"The model '{model}' does not exist or you do not have access to it.", None, "model_not_found"
        )
    if size > MOST_BYTES:
        raise Refused(413, f"{size}: Maximum content size limit ({MOST_BYTES}) exceeded ({size} bytes read)")
    if PurePath(name).suffix not in _EXTENSIONS:
        raise Refused(400, f"Unrecognized file format. Supported formats: {sorted(_EXTENSIONS)}", "file")
    _check_fields(form, model, offer, seconds)
    if offer.seconds is not None and seconds > offer.seconds:
        limit = f"{offer.seconds:g} seconds which is the maximum for this model"
        raise Refused(400, f"audio duration {seconds:g} seconds is longer than {limit}", None, "invalid_value")


def _check_fields(form: Mapping[str, list[str]], model: str, offer: Offer, seconds: float) -> None:
    wanted = form.get("response_format", ["json"])[0]
    if wanted not in offer.formats:
        message = f"response_format '{wanted}' is not compatible with model '{model}'. Use 'json' or 'text' instead."
        raise Refused(400, message, "response_format", "unsupported_value")
    for name in form.keys() - {"model", "stream"} - offer.optional:
        raise Refused(
            400, f"{name} is not supported for model '{model}'.", name.removesuffix("[]"), "unsupported_parameter"
        )
    if "timestamp_granularities[]" in form and wanted != "verbose_json":
        raise Refused(400, "timestamp_granularities needs verbose_json.", "timestamp_granularities")
    if "diarize" in model and seconds > _CHUNKING_SECONDS and "chunking_strategy" not in form:
        raise Refused(400, "chunking_strategy is required for diarization models", "chunking_strategy")
