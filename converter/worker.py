"""What a converter handles, with its settings bound."""

from collections.abc import Mapping
from functools import partial

from sqlalchemy import Engine

from converter.handlers import encode, extract
from pipeline.settings import Settings
from pipeline.work import Handler


def handlers(settings: Settings, _catalog: Engine) -> Mapping[str, Handler]:
    return {"extract": extract, "encode": partial(encode, bitrate_kbit=settings.audio_bitrate)}
