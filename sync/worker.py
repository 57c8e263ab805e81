"""What sync handles, with its limits bound."""

from collections.abc import Mapping
from functools import partial
from ipaddress import ip_network

import certifi
from sqlalchemy import Engine

from pipeline.settings import Settings
from pipeline.work import Handler
from sync.export import exporter
from sync.guard import Guard
from sync.handler import Limits, fetch
from sync.network import tls_context


def handlers(settings: Settings, catalog: Engine) -> Mapping[str, Handler]:
    """Raises SystemExit if the networks cannot be read, or links not be signed."""
    limits = Limits(settings.upload_limit, settings.fetch_seconds, settings.stall_seconds)
    return {
        "fetch": partial(fetch, guard=_guard(settings.fetch_networks), limits=limits, tls=tls_context(certifi.where())),
        "export": exporter(settings, catalog),
    }


def _guard(networks: str) -> Guard:
    try:
        return Guard(tuple(map(ip_network, networks.split())))
    except ValueError as error:
        raise SystemExit(f"SPOOL_FETCH_NETWORKS: {error}") from None
