"""The services' applications and handlers, put together for the embedded suite as each service's own entry point does."""

from collections.abc import Iterator, Mapping

from flask import Flask
from sqlalchemy import Engine

import auth.app
import auth.keys
import auth.migrate
import auth.tokens
import auth.users
import converter.worker
import gateway.app
import notification.worker
import speech.app
import sync.worker
import transcriber.worker
from dev.kept import SignIn
from gateway.auth_client import AuthClient
from gateway.services import Services
from pipeline.blobs import BlobStore
from pipeline.database import connect
from pipeline.dispatch import Dispatcher
from pipeline.settings import Settings
from pipeline.work import Handler


def auth_app(settings: Settings, sign_in: SignIn) -> Flask:
    """auth, with its first user."""
    assert settings.auth_database_url
    assert settings.signing_keys
    auth.migrate.upgrade(settings.auth_database_url)
    auth.keys.ensure(settings.signing_keys)
    engine = connect(settings.auth_database_url)
    users = auth.users.Users(engine)
    users.ensure(sign_in.email, sign_in.password)
    keys = auth.keys.Keys.load(settings.signing_keys)
    return auth.app.create_app(users, auth.tokens.Tokens(engine, keys, settings.token_seconds))


def speech_app(settings: Settings) -> Flask:
    """speech, with no model in memory before the first request."""
    return speech.app.app_of(settings)


def gateway_app(settings: Settings, sender: Dispatcher, blobs: BlobStore) -> Flask:
    """gateway, on the parts that its workers use too."""
    return gateway.app.create_app(Services(settings, sender, blobs, AuthClient(settings.auth_url or "")))


def workers(settings: Settings, catalog: Engine) -> Iterator[Mapping[str, Handler]]:
    """What each worker service handles."""
    for service in (sync.worker, converter.worker, transcriber.worker, notification.worker):
        yield service.handlers(settings, catalog)
