"""What Dropbox tells of accounts, and what others would like to tell."""

import hmac
import json

import pytest
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.connecting import APP_SECRET, connect, set_up
from gateway.tests.exchanges import Unread, assert_problem

HOOK = "/v1/webhooks/dropbox"
NEWS = json.dumps({"list_folder": {"accounts": ["dbid:ada"]}, "delta": {"users": [12345]}}).encode()


@pytest.fixture
def ready(world: World) -> World:
    """The account of Ada, and that of Bob, are connected, and nothing waits."""
    ready = set_up(world)
    connect(ready)
    connect(ready, ready.bob, account="dbid:bob")
    return ready


def sign(body: bytes, secret: str = APP_SECRET) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def tell(world: World, body: bytes = NEWS, signature: str | None = None) -> TestResponse:
    headers = {"X-Dropbox-Signature": sign(body) if signature is None else signature}
    return world.client.post(HOOK, data=body, headers=headers, content_type="application/json", buffered=True)


def test_the_challenge_comes_back_as_it_came(ready: World) -> None:
    answer = ready.client.get(HOOK, query_string={"challenge": "aB3_-x"})
    assert (answer.status_code, answer.text, answer.mimetype) == (200, "aB3_-x", "text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("challenge", ["", "<script>alert(1)</script>", "a b", "a\r\nSet-Cookie: x=1", "x" * 257])
def test_what_is_no_challenge_does_not_come_back(ready: World, challenge: str) -> None:
    answer = ready.client.get(HOOK, query_string={"challenge": challenge})
    assert_problem(answer, 422, "invalid")
    assert "script" not in answer.text
    assert_problem(ready.client.get(HOOK), 422, "invalid")


def test_news_of_an_account_wake_those_who_watch_it(ready: World) -> None:
    assert tell(ready).status_code == 204
    assert ready.queue.depth("watch") == 1
    (message,) = [ready.queue.consumer(["watch"]).receive(1)]
    assert message
    found = ready.services.connections.load(message.message.job_id)
    assert found
    assert found.account_id == "dbid:ada"


@pytest.mark.parametrize(
    "signature",
    [
        sign(NEWS)[:-1] + ("0" if sign(NEWS)[-1] != "0" else "1"),
        sign(NEWS)[:-1],
        sign(NEWS) + "0",
        sign(NEWS, "another secret"),
        sign(NEWS + b" "),
        sign(NEWS).upper(),
        "",
        "\xe9" * 64,
    ],
)
def test_news_that_are_not_signed_by_dropbox_are_not_heard(ready: World, signature: str) -> None:
    assert_problem(tell(ready, signature=signature), 403, "forbidden")
    assert_problem(ready.client.post(HOOK, data=NEWS), 403, "forbidden")
    assert ready.queue.depth("watch") == 0


def test_a_changed_body_is_not_heard(ready: World) -> None:
    changed = NEWS.replace(b"dbid:ada", b"dbid:bob")
    assert_problem(tell(ready, changed, sign(NEWS)), 403, "forbidden")
    assert ready.queue.depth("watch") == 0


def test_a_huge_body_is_not_read(ready: World) -> None:
    size = {"CONTENT_LENGTH": str(10**9)}
    answer = ready.client.post(HOOK, input_stream=Unread(), environ_overrides=size)
    assert_problem(answer, 413, "too_large")
    huge = b'{"list_folder": {"accounts": [' + b" " * 70_000 + b"]}}"
    assert_problem(tell(ready, huge), 413, "too_large")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"list_folder": {"accounts": [1]}}', b"[" * 60_000])
def test_what_dropbox_would_not_say_is_refused(ready: World, body: bytes) -> None:
    assert_problem(tell(ready, body), 422, "invalid")
    assert ready.queue.depth("watch") == 0


def test_news_of_nobody_are_taken_in_silence(ready: World) -> None:
    for body in (b'{"list_folder": {"accounts": []}}', b'{"list_folder": {"accounts": ["dbid:nobody"]}}'):
        answer = tell(ready, body)
        assert (answer.status_code, answer.data) == (204, b"")
    assert ready.queue.depth("watch") == 0


def test_without_the_secret_of_the_app_nobody_is_heard(world: World) -> None:
    unready = set_up(world, dropbox_app_secret=None)
    for answer in (tell(unready), unready.client.get(HOOK, query_string={"challenge": "x"})):
        assert_problem(answer, 501, "not_set_up")
        assert answer.json["settings"] == ["SPOOL_DROPBOX_APP_SECRET"]


def test_nothing_secret_is_logged(ready: World) -> None:
    with capture_logs() as logs:
        tell(ready)
        tell(ready, signature=sign(NEWS, "another"))
    assert [entry["status"] for entry in logs if "status" in entry] == [204, 403]
    for secret in (APP_SECRET, sign(NEWS), "dbid:ada"):
        assert secret not in json.dumps(logs, default=str)
