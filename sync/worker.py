"""What sync handles, with its limits bound."""

from collections.abc import Mapping
from functools import partial

import certifi
from sqlalchemy import Engine

from pipeline.guard import guard
from pipeline.network import tls_context
from pipeline.settings import Settings
from pipeline.work import Handler
from sync.handler import Limits, fetch


def handlers(settings: Settings, _catalog: Engine) -> Mapping[str, Handler]:
    """Raises SystemExit if the networks cannot be read."""
    limits = Limits(settings.upload_limit, settings.fetch_seconds, settings.stall_seconds)
    return {"fetch": partial(fetch, guard=guard(settings), limits=limits, tls=tls_context(certifi.where()))}
