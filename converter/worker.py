"""What a converter handles, with its settings bound."""

from collections.abc import Mapping
from functools import partial

from sqlalchemy import Engine

from converter.encode import encode
from converter.extract import extract
from pipeline.settings import Settings
from pipeline.work import Handler


def handlers(settings: Settings, _catalog: Engine) -> Mapping[str, Handler]:
    return {"extract": extract, "encode": partial(encode, bitrate_kbit=settings.audio_bitrate)}
