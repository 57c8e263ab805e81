"""What Dropbox sends to: browsers on their way back, and news of accounts."""

import hmac
import json
from typing import Any, Literal

from flask import Response, request
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field, ValidationError

from gateway.api import routes
from gateway.dropbox import COOKIE, Code, State, bind, callback_address, cookie
from gateway.intake import invalid
from gateway.pages import PAGE, page
from gateway.services import services
from pipeline.jobs import Settled
from pipeline.problems import Problem

api = routes("Dropbox", [403, 409, 410, 413, 422, 501, 503])

_ECHO: ResponseDict = {
    200: {"description": "The challenge.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class Return(BaseModel):
    """RFC 6749, sections 4.1.2 and 4.1.2.1."""

    state: State
    code: Code | None = None
    error: str | None = Field(None, max_length=100)


class Challenge(BaseModel):
    challenge: str = Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")


class News(BaseModel):
    """https://www.dropbox.com/developers/reference/webhooks#notifications"""

    list_folder: dict[Literal["accounts"], list[str]]


_NEWS = {"required": True, "content": {"application/json": {"schema": News.model_json_schema()}}}


@api.get("/v1/connections/dropbox/callback", summary="Come back from Dropbox", responses=PAGE)
def come_back(query: Return) -> Response:
    """Connects the account if the browser is the one that began; else the page says how to go on."""
    browser = request.cookies.get(COOKIE)
    found = services().authorizations.by_browser(query.state, browser) if browser else None
    if found is None and not services().authorizations.is_open(query.state):
        raise Problem("authorization_expired")
    if query.error or query.code is None:
        return _page("declined.html", is_known=found is not None)
    if found is None:
        finish = f"{callback_address().removesuffix('callback')}finish"
        return _page("finish.html", address=finish, body=json.dumps({"code": query.code, "state": query.state}))
    try:
        begun = bind(found, query.code)
    except Settled as error:
        raise Problem("conflict", str(error)) from None
    if begun is None:
        raise Problem("authorization_expired")
    services().dispatcher.send(begun[1])
    return _page("connected.html", is_known=True, connection=begun[0])


def _page(template: str, *, is_known: bool = False, **shown: Any) -> Response:
    response = page(template, **shown)
    if is_known:
        response.delete_cookie(COOKIE, **cookie())
    return response


@api.get("/v1/webhooks/dropbox", summary="Show Dropbox that news arrive here", responses=_ECHO)
def echo(query: Challenge) -> Response:
    _app_secret()
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(query.challenge, content_type="text/plain; charset=utf-8", headers=headers)


@api.post(
    "/v1/webhooks/dropbox",
    summary="Hear from Dropbox that there is news",
    responses={204: None},
    openapi_extensions={"requestBody": _NEWS},
)
def take_news() -> tuple[str, int]:
    """Signed by the app's secret in `X-Dropbox-Signature`. Whoever watches the accounts looks what it is, after the answer."""
    body = request.get_data(cache=False)
    signature = hmac.new(_app_secret(), body, "sha256").hexdigest()
    if not hmac.compare_digest(signature.encode(), request.headers.get("X-Dropbox-Signature", "").encode()):
        raise Problem("forbidden")
    try:
        news = News.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    services().dispatcher.send(services().connections.news(news.list_folder.get("accounts", ())))
    return "", 204


def _app_secret() -> bytes:
    """Raises `Problem` 501 if it is not set."""
    secret = services().settings.dropbox_app_secret
    if secret is None:
        name = "SPOOL_DROPBOX_APP_SECRET"
        raise Problem("not_set_up", f"Whoever runs this server has to set {name}.", settings=[name])
    return secret.get_secret_value().encode()
