"""`gunicorn gateway.wsgi:app`"""

from flask import Flask

from gateway.app import create_app
from gateway.auth_client import AuthClient
from gateway.services import Services
from pipeline import telemetry, web, wiring
from pipeline.accounts import Accounts, defaults
from pipeline.jobs import Jobs
from pipeline.links import links
from pipeline.settings import Settings


def _app() -> Flask:
    settings = Settings.load("database_url", "blob_url", "queue_url", "auth_url", "link_keys")
    telemetry.configure(settings.log_format, "gateway")
    catalog = wiring.engine(settings)
    return create_app(
        Services(
            Jobs(catalog),
            wiring.dispatcher(settings, catalog, wiring.queue(settings)),
            wiring.blobs(settings),
            AuthClient(settings.auth_url or ""),
            links(settings),
            Accounts(catalog, defaults(settings)),
            settings.upload_limit,
            settings.free_bytes,
            settings.public_url,
            settings.upload_hours,
            settings.cors_origins,
        )
    )


app = web.entry(_app)
