"""The Flask application."""

from flask import Flask, redirect
from flask_cors import CORS
from flask_openapi3 import Info, OpenAPI
from pydantic import ValidationError
from werkzeug.wrappers import Response

from gateway import (
    account,
    api,
    downloads,
    dropbox,
    dropbox_callback,
    events,
    exports,
    formats,
    glossary,
    intake,
    jobs,
    links,
    login,
    mails,
    remote_accounts,
    search,
    shares,
    transcripts,
    tus,
    unsubscribe,
    uploads,
    webhooks,
)
from gateway.expectation import Expectation
from gateway.services import NAME, Services
from pipeline import database, problems, web
from pipeline.problems import Problem
from pipeline.readiness import checks

SMALL = 64 * 1024
"""Bytes that the body of a request may have where no file is expected."""
EXPOSED = ("Content-Disposition", "Content-Range", "ETag", "Retry-After", "X-Request-Id")
"""What pages may read beside the headers of tus."""
_MODULES = (
    login,
    formats,
    account,
    glossary,
    uploads,
    tus,
    jobs,
    transcripts,
    search,
    events,
    downloads,
    shares,
    links,
    remote_accounts,
    dropbox,
    dropbox_callback,
    exports,
    webhooks,
    mails,
    unsubscribe,
)


def create_app(services: Services) -> OpenAPI:
    """Connects to nothing."""
    app = OpenAPI(
        "gateway",
        info=Info(title="Spool", version="1", description="Upload a recording, get an MP3 and a transcript."),
        security_schemes=api.SECURITY_SCHEMES,
        validation_error_callback=_refuse,
        validation_error_model=api.Problem,
        validation_error_status=503,  # only for the document: all routes describe 503, so that no other answer is added
        doc_prefix="/v1",
        static_folder=None,
    )
    app.extensions[NAME] = services
    app.config["MAX_CONTENT_LENGTH"] = SMALL
    app.json.sort_keys = False  # type: ignore[attr-defined]
    ready = checks(catalog=lambda: database.ping(services.catalog), blobs=services.blobs.ping)
    web.instrument(app, "gateway", ready)
    problems.register(app)
    _open_to_pages(app, services.settings.cors_origins.split())
    for module in _MODULES:
        app.register_api(module.api)
    app.add_url_rule("/v1/docs", "docs", app.view_functions["swagger.swagger"])
    app.wsgi_app = Expectation(app.wsgi_app, services.hub)  # type: ignore[method-assign]
    app.add_url_rule("/", "home", lambda: redirect("/v1/docs"))
    return app


def _open_to_pages(app: Flask, origins: list[str]) -> None:
    """Lets pages of these origins use the API from a browser; their requests carry tokens, never cookies."""
    if origins:
        CORS(app, origins=origins, expose_headers=[*EXPOSED, *tus.EXPOSED], max_age=3600)


def _refuse(error: ValidationError) -> Response:
    """An id of the wrong form was never given out, so it is answered like one that is not there."""
    first = error.errors()[0]
    if first["loc"][:1] in (("id",), ("fid",)) and first["type"] != "missing":
        raise Problem("not_found")
    raise intake.invalid(error)
