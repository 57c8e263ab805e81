"""POST /v1/audio/transcriptions and /v1/audio/translations."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from flask import Flask, Response, request
from prometheus_client import Counter
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from speech.answers import answer
from speech.errors import known, named
from speech.model import Models, Wishes
from speech.receiving import receive
from speech.stream import stream
from speech.turns import Turns, stay

_SECONDS = Counter("speech_audio_seconds", "Seconds of recordings that models began to hear.", ("model", "task"))


def register(app: Flask, models: Models, turns: Turns, scratch: Path | None) -> None:
    def hear(task: Literal["transcribe", "translate"]) -> Response:
        beat = partial(stay, request.environ)
        with ExitStack() as stack:
            stack.enter_context(turns.place())
            audio = Path(stack.enter_context(TemporaryDirectory(prefix="speech-", dir=scratch)), "upload")
            wishes = _wishes(task, receive(request, audio))
            model = known(Path(wishes.model).name, models.ready())
            stack.enter_context(turns.turn(beat))
            hearing = stack.enter_context(models.hearing(model, audio, wishes, beat))
            _SECONDS.labels(model, task).inc(hearing.duration)
            if not wishes.stream:
                return answer(hearing, wishes)
            response = stream(hearing)
            response.call_on_close(stack.pop_all().close)
            return response

    app.add_url_rule("/v1/audio/transcriptions", "transcriptions", partial(hear, "transcribe"), methods=["POST"])
    app.add_url_rule("/v1/audio/translations", "translations", partial(hear, "translate"), methods=["POST"])


def _wishes(task: str, form: MultiDict[str, str]) -> Wishes:
    given: dict[str, Any] = {name: form[name] for name in Wishes.model_fields if name in form}
    granularities = "timestamp_granularities[]"
    try:
        return Wishes.model_validate(given | {"task": task, granularities: form.getlist(granularities)})
    except ValidationError as error:
        raise named(error) from None
