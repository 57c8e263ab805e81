"""Ada's Dropbox, as far as the gateway is concerned."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from gateway.dropbox import COOKIE
from gateway.tests.conftest import World

PUBLIC, CODE, APP_SECRET = "https://spool.example.org", "code-of-dropbox_1", "the secret of the app"


def set_up(world: World, **settings: Any) -> World:
    """The same world behind a gateway that is set up for Dropbox."""
    given = {
        "public_url": PUBLIC,
        "secret_keys": SecretStr(Fernet.generate_key().decode()),
        "dropbox_app_key": "the-app-key",
        "dropbox_app_secret": SecretStr(APP_SECRET),
    }
    return world.changed(**{**given, **settings})


def ask_to_start(
    world: World, browser: FlaskClient, headers: dict[str, str] | None = None, **wanted: Any
) -> TestResponse:
    body = {"folders": ["/Recordings"], **wanted}
    who = headers or world.ada
    return browser.post("/v1/connections/dropbox/start", json=body, headers=who, base_url=PUBLIC, buffered=True)


def query_of(answer: TestResponse) -> dict[str, str]:
    """Of the address at which Dropbox is to be asked."""
    parts = urlsplit(answer.json["authorize_url"])
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "www.dropbox.com", "/oauth2/authorize")
    return {name: value for name, (value,) in parse_qs(parts.query, strict_parsing=True).items()}


def start(world: World, browser: FlaskClient, headers: dict[str, str] | None = None, **wanted: Any) -> str:
    """Begins; returns the `state` that Dropbox will send back."""
    answer = ask_to_start(world, browser, headers, **wanted)
    assert answer.status_code == 200, answer.text
    return query_of(answer)["state"]


def come_back(browser: FlaskClient, **query: str) -> TestResponse:
    """As Dropbox sends the browser."""
    return browser.get("/v1/connections/dropbox/callback", query_string=query, base_url=PUBLIC, buffered=True)


def connections(world: World, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = world.client.get("/v1/connections", headers=headers or world.ada)
    assert answer.status_code == 200
    return list(answer.json["items"])


def connect(world: World, headers: dict[str, str] | None = None, account: str = "dbid:ada", **wanted: Any) -> str:
    """The id of a connection that works."""
    browser = world.client
    assert come_back(browser, state=start(world, browser, headers, **wanted), code=CODE).status_code == 200
    found = str(connections(world, headers)[-1]["id"])
    world.services.connections.connected(found, "the sealed token", account, "Ada", "ada@dropbox.example")
    return found


def opened(world: World, connection_id: str) -> dict[str, str]:
    """What sync is given to connect with."""
    vault, found = world.services.vault, world.services.connections.load(connection_id)
    assert vault
    assert found
    return dict(json.loads(vault.open((found.secret or "").split()[-1])))


def cookie_of(browser: FlaskClient) -> str | None:
    kept = browser.get_cookie(COOKIE, domain=urlsplit(PUBLIC).netloc, path="/v1/connections")
    return kept.value if kept else None
