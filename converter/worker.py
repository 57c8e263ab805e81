"""What a converter handles, with its settings bound."""

from collections.abc import Mapping
from functools import partial

from sqlalchemy import Engine

from converter.draw import draw
from converter.encode import encode
from converter.extract import extract
from converter.join import join
from converter.measure import measure
from converter.plan import Planner
from pipeline.settings import Settings
from pipeline.work import Handler


def handlers(settings: Settings, _catalog: Engine) -> Mapping[str, Handler]:
    kbit = settings.audio_bitrate
    planner = Planner(kbit, settings.part_minutes, settings.most_parts)
    return {
        "extract": partial(extract, planner=planner),
        "measure": partial(measure, planner=planner),
        "encode": partial(encode, bitrate_kbit=kbit),
        "join": partial(join, bitrate_kbit=kbit),
        "draw": draw,
    }
