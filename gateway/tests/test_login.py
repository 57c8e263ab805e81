import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from gateway.app import create_app
from gateway.auth_client import AuthClient
from gateway.tests.conftest import ADA, PASSWORD, Auth, World
from gateway.tests.exchanges import assert_problem
from gateway.tests.servers import serve


def test_the_right_password_brings_a_token_as_text(world: World, auth_service: Auth) -> None:
    answer = world.client.post("/login", auth=(ADA, PASSWORD))
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    assert answer.headers["Cache-Control"] == "no-store"
    key = auth_service.keys.signing.private.public_key()
    assert jwt.decode(answer.text, key, algorithms=["EdDSA"], audience="spool")["email"] == ADA
    assert world.client.get("/v1/jobs", headers={"Authorization": f"Bearer {answer.text}"}).status_code == 200


def test_a_wrong_password_is_refused(world: World) -> None:
    answer = world.client.post("/login", auth=(ADA, "wrong"))
    assert_problem(answer, 401, "credentials_wrong")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic %%%", "Basic YQ", "Bearer abc", "Digest x=y", "Basic \xff\xfe"]
)
def test_no_password_is_refused(world: World, header: str | None) -> None:
    answer = world.client.post("/login", headers={"Authorization": header} if header is not None else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_passwords_may_hold_any_character(world: World) -> None:
    credentials = base64.b64encode("zoë@example.org:pässwörd: 🎉".encode()).decode()
    answer = world.client.post("/login", headers={"Authorization": f"Basic {credentials}"})
    assert_problem(answer, 401, "credentials_wrong")


def test_who_guesses_is_told_to_wait(world: World) -> None:
    answers = [world.client.post("/login", auth=("guessed@example.org", f"guess {n}")) for n in range(12)]
    assert_problem(answers[-1], 429, "too_many_requests")
    assert int(answers[-1].headers["Retry-After"]) > 0


@contextmanager
def behind(world: World, url: str) -> Iterator[FlaskClient]:
    """A gateway whose auth is at `url`."""
    with closing(AuthClient(url)) as client:
        yield create_app(replace(world.services, auth=client)).test_client()


def assert_auth_is_away(client: FlaskClient, bearer: dict[str, str]) -> None:
    for answer in (client.post("/login", auth=(ADA, PASSWORD)), client.get("/v1/jobs", headers=bearer)):
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_without_auth_nobody_can_sign_in_and_may_try_again(world: World) -> None:
    with behind(world, "http://127.0.0.1:1") as client:
        assert_auth_is_away(client, world.ada)


@pytest.mark.parametrize(
    "answer", [("<h1>Bad gateway</h1>", 502), "<html>", "[]", "{}", '{"keys": [{}]}', '{"keys": 3}']
)
def test_auth_that_answers_nonsense_is_as_good_as_away(world: World, answer: str | tuple[str, int]) -> None:
    app = Flask("broken", static_folder=None)
    app.add_url_rule("/<path:_>", "any", lambda _: answer, methods=["GET", "POST"])
    with serve(app) as url, behind(world, url) as client:
        assert_auth_is_away(client, world.ada)
