"""What a transcriber handles, with its speech service bound."""

from collections.abc import Mapping
from functools import partial

import openai
from sqlalchemy import Engine

from pipeline import accounts
from pipeline.ledger import Ledger
from pipeline.settings import Settings
from pipeline.speech_models import Choice
from pipeline.work import Handler
from transcriber.choice import watch
from transcriber.cut import cut
from transcriber.merge import merge
from transcriber.render import render
from transcriber.transcribe import transcribe
from transcriber.vendor import Vendor


def handlers(settings: Settings, catalog: Engine) -> Mapping[str, Handler]:
    choice, ledger = Choice.of(settings), Ledger(catalog, accounts.defaults(settings))
    watch(choice)
    return {
        "cut": partial(cut, pick=choice.fitting, ledger=ledger),
        "transcribe": partial(
            transcribe,
            pick=choice.fitting,
            vendor=_vendor(settings),
            ledger=ledger,
            waiting=settings.speech_waiting_seconds,
        ),
        "merge": merge,
        "render": render,
    }


def _vendor(settings: Settings) -> Vendor:
    # A service of one's own may ask for no key; the SDK insists on one.
    key = settings.speech_key.get_secret_value() if settings.speech_key else "none"
    client = openai.OpenAI(base_url=settings.speech_url, api_key=key, max_retries=0)
    return Vendor(client, settings.patience_seconds)
