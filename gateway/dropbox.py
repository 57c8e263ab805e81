"""/v1/connections/dropbox: how a user connects a Dropbox (OAuth 2 with PKCE, RFC 6749 and 7636).

The browser that began is known by a cookie, and only it goes to the end by itself. Whoever comes back without it has to sign in
as who began: nobody's permission is bound to the account of somebody who lured them here.
"""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from flask import Response, jsonify
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gateway import models
from gateway.access import identity
from gateway.api import private_routes
from gateway.remote_accounts import Connection, act, checked
from gateway.services import services
from pipeline import telemetry
from pipeline.authorizations import SCOPES, SECONDS, Authorization
from pipeline.connections import Begun
from pipeline.problems import Problem
from pipeline.settings import Settings
from pipeline.vault import Unopened, Vault
from pipeline.wishes import Wishes

api = private_routes("connect a Dropbox", [404, 409, 410, 422, 429, 501, 503])

AUTHORIZE = "https://www.dropbox.com/oauth2/authorize"
COOKIE = "spool_connecting"
_NEEDED = ("public_url", "secret_keys", "dropbox_app_key")

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~+/=-]{1,512}$")]
"""It is shown in a command: nothing in it may mean anything to a shell."""
State = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class Start(models.Answer):
    authorize_url: str = Field(description="Where to go with a browser to permit it.")
    expires_at: datetime = Field(description="Until when to come back from there; RFC 3339, UTC.")


class Finish(BaseModel):
    """What Dropbox sent back with a browser that is not known here."""

    model_config = ConfigDict(extra="forbid")

    code: Code
    state: State


@api.post("/v1/connections/dropbox/start", summary="Begin to connect a Dropbox", responses={200: Start})
def start_dropbox(body: Wishes) -> Response:
    """Open the address in the browser that asked; it comes back here, and the connection begins."""
    wishes = body.model_copy(update={"options": checked(body.options)})
    return _start({"wishes": wishes.model_dump(mode="json", exclude_defaults=True), "email": identity().email})


@api.post("/v1/connections/<id>/reconnect", summary="Connect a broken Dropbox anew", responses={200: Start})
def restart_dropbox(path: models.JobPath) -> Response:
    """As beginning; the same account has to be permitted, and what is known of its files stays."""
    if services().connections.get(identity().owner, path.id) is None:
        raise Problem("not_found")
    return _start({}, path.id)


@api.post("/v1/connections/dropbox/finish", summary="Connect a Dropbox without a cookie", responses={202: Connection})
def finish_dropbox(body: Finish) -> tuple[dict[str, Any], int]:
    """For those who began with curl: with the code and the state that the page shows to which Dropbox sends the browser."""
    found = services().authorizations.by_owner(body.state, identity().owner)
    if found is None:
        raise Problem("authorization_expired")
    return act(lambda _: bind(found, body.code)), 202


def bind(found: Authorization, code: str) -> Begun | None:
    """Has what was permitted used as it was asked for. Raises Settled, and `Problem` where the keys have changed meanwhile."""
    _, vault = set_up()
    try:
        verifier = vault.open(found.verifier)
    except Unopened:
        raise Problem("authorization_expired") from None
    secret = vault.seal(json.dumps({"code": code, "verifier": verifier, "redirect_uri": callback_address()}))
    if found.connection_id:
        return services().connections.reconnect(found.owner, found.connection_id, secret)
    wishes = Wishes.model_validate(found.asked["wishes"])
    trace = telemetry.traceparent()
    return services().connections.begin(found.owner, wishes, secret, found.asked["email"], trace)


def set_up() -> tuple[Settings, Vault]:
    """Raises `Problem` 501, which says what has to be set, if Dropbox cannot be used here."""
    settings, vault = services().settings, services().vault
    missing = [f"SPOOL_{name.upper()}" for name in _NEEDED if not getattr(settings, name)]
    if missing or vault is None:
        raise Problem("not_set_up", f"Whoever runs this server has to set {', '.join(missing)}.", settings=missing)
    return settings, vault


def callback_address() -> str:
    return f"{(services().settings.public_url or '').rstrip('/')}/v1/connections/dropbox/callback"


def cookie() -> Mapping[str, Any]:
    """How the cookie is set, and deleted: for the way back alone, which is a link from another site (RFC 6265bis, `SameSite`)."""
    address = urlsplit(callback_address())
    path = address.path.removesuffix("/dropbox/callback")
    return {"path": path, "secure": address.scheme == "https", "httponly": True, "samesite": "Lax"}


def _start(asked: Mapping[str, Any], connection_id: str | None = None) -> Response:
    settings, vault = set_up()
    browser, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    owner = identity().owner
    state, end = services().authorizations.begin(owner, browser, vault.seal(verifier), asked, connection_id)
    url = _authorize_url(settings.dropbox_app_key or "", state, verifier)
    response = jsonify(Start(authorize_url=url, expires_at=end).model_dump(mode="json"))
    response.set_cookie(COOKIE, browser, max_age=SECONDS, **cookie())
    response.headers["Cache-Control"] = "no-store"
    return response


def _authorize_url(app_key: str, state: str, verifier: str) -> str:
    """https://www.dropbox.com/developers/documentation/http/documentation#oauth2-authorize"""
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "client_id": app_key,
        "response_type": "code",
        "redirect_uri": callback_address(),
        "state": state,
        "token_access_type": "offline",
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "scope": " ".join(SCOPES),
    }
    return f"{AUTHORIZE}?{urlencode(asked)}"
