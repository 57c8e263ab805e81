import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, abort, redirect, request
from structlog.testing import capture_logs
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.test import TestResponse

from pipeline import problems
from pipeline.errors import Unavailable
from pipeline.problems import KINDS, Problem


def ask(view: Callable[[], Any], **request_options: Any) -> TestResponse:
    app = Flask("test", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 10
    problems.register(app)
    app.add_url_rule("/", "view", view, methods=["GET", "POST"])
    return app.test_client().open(**{"path": "/", **request_options})


def body(response: TestResponse) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(response.data)
    return read


def fail_with(error: Exception) -> Callable[[], None]:
    def view() -> None:
        raise error

    return view


@pytest.mark.parametrize("code", KINDS)
def test_every_code_of_the_table_makes_a_problem(code: str) -> None:
    response = ask(fail_with(Problem(code)))
    assert response.status_code == KINDS[code].status
    assert response.content_type == "application/problem+json"
    assert body(response) == {
        "type": f"urn:spool:problem:{code}",
        "title": KINDS[code].title,
        "status": KINDS[code].status,
        "code": code,
    }


def test_a_problem_carries_its_detail_its_headers_and_its_members() -> None:
    response = ask(fail_with(Problem("too_large", "At most 5 bytes.", headers={"Retry-After": "3"}, limit=5)))
    assert body(response)["detail"] == "At most 5 bytes."
    assert body(response)["limit"] == 5
    assert response.headers["Retry-After"] == "3"


def test_an_unknown_code_is_a_mistake_at_once() -> None:
    with pytest.raises(KeyError):
        Problem("no_such_code")


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"path": "/nowhere"}, 404, "not_found"),
        ({"method": "DELETE"}, 405, "method_not_allowed"),
        ({"method": "POST", "data": b"x" * 11, "content_type": "application/json"}, 413, "too_large"),
        ({"method": "POST", "data": b"{", "content_type": "application/json"}, 400, "malformed"),
        ({"method": "POST", "data": b"{}", "content_type": "text/plain"}, 415, "media_type"),
    ],
)
def test_what_flask_refuses_is_a_problem(options: dict[str, Any], status: int, code: str) -> None:
    response = ask(lambda: request.get_json(), **options)
    assert (response.status_code, body(response)["code"]) == (status, code)
    assert response.content_type == "application/problem+json"


def test_headers_that_belong_to_an_error_are_kept() -> None:
    assert set(ask(lambda: "", method="PUT").headers["Allow"].split(", ")) >= {"GET", "POST"}
    assert ask(fail_with(RequestedRangeNotSatisfiable(7))).headers["Content-Range"] == "bytes */7"


def test_the_length_is_that_of_the_problem() -> None:
    response = ask(lambda: abort(404))
    assert int(response.headers["Content-Length"]) == len(response.data)
    assert json.loads(response.data)["status"] == 404


def test_statuses_outside_the_table_keep_their_class() -> None:
    assert body(ask(lambda: abort(418)))["code"] == "malformed"
    assert body(ask(lambda: abort(502)))["code"] == "internal"


def test_redirects_and_ready_made_responses_pass() -> None:
    assert ask(lambda: redirect("/there")).headers["Location"] == "/there"
    assert ask(lambda: abort(Response("mine", 499))).data == b"mine"


def test_a_part_that_is_away_is_a_503_with_retry_after_and_its_cause_only_in_the_log() -> None:
    with capture_logs() as logs:
        response = ask(fail_with(Unavailable("mysql at 10.0.0.1 is away")))
    assert (response.status_code, body(response)["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert "10.0.0.1" not in response.text
    assert "10.0.0.1" in str(logs[0]["exc_info"])


def test_a_bug_is_a_500_with_a_safe_text_and_its_cause_in_the_log() -> None:
    with capture_logs() as logs:
        response = ask(fail_with(OSError("/secret/path")))
    assert (response.status_code, body(response)["code"]) == (500, "internal")
    assert "secret" not in response.text
    assert logs[0]["log_level"] == "error"
    assert "/secret/path" in str(logs[0]["exc_info"])
