"""What a transcriber handles, with its speech service bound."""

from collections.abc import Mapping
from functools import partial

import openai
from sqlalchemy import Engine

from pipeline.settings import Settings
from pipeline.work import Handler
from transcriber.handler import transcribe


def handlers(settings: Settings, _catalog: Engine) -> Mapping[str, Handler]:
    # A service of one's own may ask for no key; the SDK insists on one.
    key = settings.speech_key.get_secret_value() if settings.speech_key else "none"
    client = openai.OpenAI(base_url=settings.speech_url, api_key=key, max_retries=0)
    return {"transcribe": partial(transcribe, client=client, model=settings.speech_model)}
