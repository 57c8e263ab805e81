"""`gunicorn gateway.wsgi:app`"""

from flask import Flask

from gateway.app import create_app
from gateway.auth_client import AuthClient
from gateway.services import Services
from pipeline import telemetry, web, wiring
from pipeline.links import links
from pipeline.settings import Settings
from pipeline.vault import vault


def _app() -> Flask:
    settings = Settings.load("database_url", "blob_url", "queue_url", "auth_url", "link_keys")
    telemetry.configure(settings.log_format, "gateway")
    links(settings)  # says now if they are missing
    vault(settings)  # and if what is there is no key
    sender = wiring.dispatcher(settings, wiring.engine(settings), wiring.queue(settings))
    return create_app(Services(settings, sender, wiring.blobs(settings), AuthClient(settings.auth_url or "")))


app = web.entry(_app)
