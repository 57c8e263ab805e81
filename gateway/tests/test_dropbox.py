"""On the way to connect a Dropbox: whose permission is bound to whose account."""

import base64
import hashlib
import html
import json
import re
import shlex
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select, update
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from gateway.dropbox import COOKIE
from gateway.tests.conftest import ADA, World
from gateway.tests.connecting import (
    CODE,
    PUBLIC,
    ask_to_start,
    come_back,
    connect,
    connections,
    cookie_of,
    opened,
    query_of,
    set_up,
    start,
)
from gateway.tests.exchanges import NOBODYS, assert_problem
from pipeline.catalog import AuthorizationRow, ConnectionRow
from pipeline.database import now, transaction


@pytest.fixture
def ready(world: World) -> World:
    return set_up(world)


@pytest.fixture
def browser(ready: World) -> FlaskClient:
    """Keeps its cookies."""
    return ready.client


def finish(world: World, state: str, headers: dict[str, str] | None = None, code: str = CODE) -> TestResponse:
    body = {"state": state, "code": code}
    return world.client.post("/v1/connections/dropbox/finish", json=body, headers=headers or world.ada)


def expire(world: World) -> None:
    with transaction(world.services.catalog) as session:
        session.execute(update(AuthorizationRow).values(expires_at=now() - timedelta(seconds=1)))


def test_dropbox_is_asked_for_what_is_used_and_nothing_else(ready: World, browser: FlaskClient) -> None:
    answer = ask_to_start(ready, browser)
    asked = query_of(answer)
    state, challenge = asked.pop("state"), asked.pop("code_challenge")
    assert asked == {
        "client_id": "the-app-key",
        "response_type": "code",
        "redirect_uri": f"{PUBLIC}/v1/connections/dropbox/callback",
        "token_access_type": "offline",
        "code_challenge_method": "S256",
        "scope": "account_info.read files.metadata.read files.content.read files.content.write",
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", state)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", challenge)
    assert answer.headers["Cache-Control"] == "no-store"
    assert query_of(ask_to_start(ready, browser))["state"] != state


def test_the_cookie_is_for_the_way_back_alone(ready: World, browser: FlaskClient) -> None:
    (given,) = ask_to_start(ready, browser).headers.getlist("Set-Cookie")
    attributes = {part.strip() for part in given.split(";")[1:]}
    assert attributes >= {"Secure", "HttpOnly", "SameSite=Lax", "Path=/v1/connections", "Max-Age=600"}
    assert not any(part.startswith("Domain") for part in attributes)


@pytest.mark.parametrize(
    ("public", "path", "secure"),
    [("http://127.0.0.1:8080", "/v1/connections", False), (f"{PUBLIC}/spool/", "/spool/v1/connections", True)],
)
def test_the_cookie_fits_the_address_of_the_server(world: World, public: str, path: str, secure: bool) -> None:
    ready = set_up(world, public_url=public)
    answer = ask_to_start(ready, ready.client)
    (given,) = answer.headers.getlist("Set-Cookie")
    assert (f"Path={path}" in given.split("; "), "Secure" in given) == (True, secure)
    assert query_of(answer)["redirect_uri"] == f"{public.rstrip('/')}/v1/connections/dropbox/callback"


def test_the_browser_that_began_comes_back_and_the_connection_begins(ready: World, browser: FlaskClient) -> None:
    answer = ask_to_start(ready, browser, results="none", options={"tags": ["calls"]})
    asked = query_of(answer)
    page = come_back(browser, state=asked["state"], code=CODE)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "private, no-store"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "/Recordings" in page.text
    assert CODE not in page.text
    assert cookie_of(browser) is None
    (found,) = connections(ready)
    assert (found["state"], found["folders"], found["results"]) == ("connecting", ["/Recordings"], "none")
    assert (found["options"]["tags"], found["options"]["notify"]) == (["calls"], [ADA])
    assert ready.queue.depth("connect") == 1
    given = opened(ready, found["id"])
    assert (given["code"], given["redirect_uri"]) == (CODE, asked["redirect_uri"])
    digest = hashlib.sha256(given["verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == asked["code_challenge"]
    assert 43 <= len(given["verifier"]) <= 128


def test_coming_back_twice_connects_once(ready: World, browser: FlaskClient) -> None:
    state = start(ready, browser)
    kept = cookie_of(browser)
    assert kept
    come_back(browser, state=state, code=CODE)
    browser.set_cookie(COOKIE, kept, domain=urlsplit(PUBLIC).netloc, path="/v1/connections")
    assert_problem(come_back(browser, state=state, code=CODE), 410, "authorization_expired")
    assert_problem(finish(ready, state), 410, "authorization_expired")
    assert len(connections(ready)) == 1


@pytest.mark.parametrize("whose", ["nobody", "another"])
def test_a_browser_that_did_not_begin_binds_nothing(ready: World, browser: FlaskClient, whose: str) -> None:
    state, other = start(ready, browser), ready.client
    if whose == "another":  # who was lured here may be on the way with an account of their own
        start(ready, other, ready.bob)
    page = come_back(other, state=state, code=CODE)
    assert page.status_code == 200
    assert "close this page" in page.text
    assert page.headers["Cache-Control"] == "private, no-store"
    assert connections(ready) == connections(ready, ready.bob) == []
    assert ready.queue.depth("connect") == 0
    assert come_back(browser, state=state, code=CODE).status_code == 200
    assert len(connections(ready)) == 1


def test_the_page_shows_a_command_that_finishes_it(ready: World, browser: FlaskClient) -> None:
    state = start(ready, browser)
    page = come_back(ready.client, state=state, code=CODE).text
    (shown,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    command = shlex.split(html.unescape(shown))
    assert command[-1] == f"{PUBLIC}/v1/connections/dropbox/finish"
    body = json.loads(command[command.index("--json") + 1])
    assert body == {"code": CODE, "state": state}
    assert_problem(finish(ready, state, ready.bob), 410, "authorization_expired")
    assert connections(ready) == connections(ready, ready.bob) == []
    answer = finish(ready, state)
    assert (answer.status_code, answer.json["state"]) == (202, "connecting")
    assert opened(ready, answer.json["id"])["code"] == CODE
    assert connections(ready, ready.bob) == []


@pytest.mark.parametrize("code", ["a'; rm -rf ~; '", "<script>", "a b", "a\nb", "", "x" * 513])
def test_a_code_that_could_mean_something_elsewhere_is_refused(ready: World, browser: FlaskClient, code: str) -> None:
    state = start(ready, browser)
    for answer in (come_back(browser, state=state, code=code), come_back(ready.client, state=state, code=code)):
        assert_problem(answer, 422, "invalid")
    assert_problem(finish(ready, state, code=code), 422, "invalid")
    assert connections(ready) == []


def test_ten_minutes_later_nothing_is_bound(ready: World, browser: FlaskClient) -> None:
    state = start(ready, browser)
    expire(ready)
    assert_problem(come_back(browser, state=state, code=CODE), 410, "authorization_expired")
    assert_problem(finish(ready, state), 410, "authorization_expired")
    assert connections(ready) == []


def test_a_state_that_was_never_given_binds_nothing(ready: World, browser: FlaskClient) -> None:
    start(ready, browser)
    assert_problem(come_back(browser, state="A" * 43, code=CODE), 410, "authorization_expired")
    assert_problem(come_back(browser, state="?", code=CODE), 422, "invalid")
    assert_problem(come_back(browser, code=CODE), 422, "invalid")
    assert connections(ready) == []


def test_who_does_not_permit_it_connects_nothing(ready: World, browser: FlaskClient) -> None:
    state = start(ready, browser)
    declined = {"state": state, "error": "access_denied", "error_description": "<b>The user declined</b>"}
    for other in (ready.client, browser):
        page = come_back(other, **declined)
        assert page.status_code == 200
        assert "Nothing was connected" in page.text
        assert "<b>" not in page.text
    assert_problem(come_back(browser, state=state, code=CODE), 410, "authorization_expired")
    assert connections(ready) == []


def test_keys_that_were_changed_on_the_way_ask_for_another_beginning(ready: World, browser: FlaskClient) -> None:
    state = start(ready, browser)
    assert_problem(finish(set_up(ready), state), 410, "authorization_expired")
    assert connections(ready) == []


def test_what_is_broken_is_connected_anew(ready: World, browser: FlaskClient) -> None:
    found = connect(ready)
    ready.services.connections.broken(found, "It was withdrawn.")
    answer = browser.post(f"/v1/connections/{found}/reconnect", headers=ready.ada, base_url=PUBLIC)
    assert come_back(browser, state=query_of(answer)["state"], code="another-code").status_code == 200
    (again,) = connections(ready)
    assert (again["id"], again["state"], again["reason"]) == (found, "connecting", None)
    assert opened(ready, found)["code"] == "another-code"


def test_what_works_is_not_connected_anew(ready: World, browser: FlaskClient) -> None:
    found = connect(ready)
    for connection_id, headers in ((found, ready.bob), (NOBODYS, ready.ada)):
        answer = browser.post(f"/v1/connections/{connection_id}/reconnect", headers=headers, base_url=PUBLIC)
        assert_problem(answer, 404, "not_found")
    answer = browser.post(f"/v1/connections/{found}/reconnect", headers=ready.ada, base_url=PUBLIC)
    assert_problem(come_back(browser, state=query_of(answer)["state"], code=CODE), 409, "conflict")
    assert connections(ready)[0]["state"] == "active"


@pytest.mark.parametrize("missing", ["public_url", "secret_keys", "dropbox_app_key"])
def test_who_runs_the_server_is_told_what_to_set(world: World, missing: str) -> None:
    unready = set_up(world, **{missing: None})
    answer = ask_to_start(unready, unready.client)
    assert_problem(answer, 501, "not_set_up")
    assert answer.json["settings"] == [f"SPOOL_{missing.upper()}"]
    assert f"SPOOL_{missing.upper()}" in answer.json["detail"]
    assert connections(unready) == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"folders": []},
        {"folders": ["Recordings"]},
        {"folders": ["/a", "/A/b"]},
        {"results": "folder"},
        {"options": {"model": "no such model"}},
        {"options": {"tags": "x" * 51}},
        {"options": {"folder": "/"}},
        {"token": "x"},
    ],
)
def test_what_cannot_be_wished_is_refused_at_once(ready: World, browser: FlaskClient, wanted: dict[str, Any]) -> None:
    answer = ask_to_start(ready, browser, **wanted)
    assert_problem(answer, 422, "invalid")
    assert "Set-Cookie" not in answer.headers


def test_only_who_is_signed_in_begins(ready: World, browser: FlaskClient) -> None:
    assert_problem(ask_to_start(ready, browser, {"Authorization": "Bearer x"}), 401, "token_invalid")
    assert_problem(finish(ready, "A" * 43, {"Authorization": "Bearer x"}), 401, "token_invalid")


def test_nothing_secret_is_logged_answered_or_kept_as_it_is(ready: World, browser: FlaskClient) -> None:
    with capture_logs() as logs:
        state = start(ready, browser)
        cookie = cookie_of(browser)
        assert cookie
        pages = [come_back(ready.client, state=state, code=CODE), come_back(browser, state=state, code=CODE)]
        (found,) = connections(ready)
        answered = [json.dumps(found), pages[1].text, ready.get(f"/v1/connections/{found['id']}").text]
    verifier = opened(ready, found["id"])["verifier"]
    routes = {entry["route"] for entry in logs if "route" in entry}
    assert routes >= {"/v1/connections/dropbox/start", "/v1/connections/dropbox/callback"}
    for secret in (state, cookie, CODE, verifier, "secret"):
        assert secret not in json.dumps(logs, default=str)
        assert all(secret not in text for text in answered)
    with transaction(ready.services.catalog) as session:
        rows = [*session.scalars(select(AuthorizationRow)), *session.scalars(select(ConnectionRow))]
        kept = str([vars(row) for row in rows])
    assert all(secret not in kept for secret in (state, cookie, CODE, verifier))


def test_keys_that_are_none_end_the_start(world: World) -> None:
    with pytest.raises(SystemExit, match="SPOOL_SECRET_KEYS"):
        _ = set_up(world, secret_keys=SecretStr("too short")).services.vault
