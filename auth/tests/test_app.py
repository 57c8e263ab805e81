from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from auth import brake
from auth.app import create_app
from auth.keys import Keys
from auth.tests.conftest import CHEAP, SECONDS
from auth.tokens import Tokens
from auth.users import Users
from pipeline.database import connect


def assert_problem(response: TestResponse, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.get_json()["code"] == code
    assert response.get_json()["status"] == status


@pytest.fixture
def signed_in(client: FlaskClient, users: Users, email: str) -> dict[str, Any]:
    users.add(email, "correct horse")
    return dict(client.post("/v1/tokens", auth=(email, "correct horse")).get_json())


def test_signing_in_gives_tokens(signed_in: dict[str, Any], email: str) -> None:
    assert set(signed_in) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (signed_in["token_type"], signed_in["expires_in"]) == ("Bearer", SECONDS)
    assert jwt.decode(signed_in["access_token"], options={"verify_signature": False})["email"] == email


def test_tokens_are_not_cached(client: FlaskClient, users: Users, email: str) -> None:
    users.add(email, "pässwörd: with colon")
    response = client.post("/v1/tokens", auth=(email, "pässwörd: with colon"))
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


def test_a_wrong_password_asks_for_basic_authentication(client: FlaskClient, email: str) -> None:
    response = client.post("/v1/tokens", auth=(email, "wrong"))
    assert_problem(response, 401, "credentials_wrong")
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("header", [None, "", "Basic", "Basic ***", "Basic //8=", "Bearer abc", "Digest username=x"])
def test_missing_and_malformed_credentials_ask_for_basic_authentication(client: FlaskClient, header: str) -> None:
    response = client.post("/v1/tokens", headers={"Authorization": header} if header is not None else {})
    assert response.status_code == 401
    assert response.get_json()["code"] in ("unauthorized", "credentials_wrong")
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


def test_guessing_is_answered_429_with_the_time_to_wait(client: FlaskClient, email: str) -> None:
    for _ in range(brake.FAILURES):
        client.post("/v1/tokens", auth=(email, "wrong"))
    response = client.post("/v1/tokens", auth=(email, "wrong"))
    assert_problem(response, 429, "too_many_requests")
    assert 1 <= int(response.headers["Retry-After"]) <= 30


def test_refresh_tokens_rotate_and_a_reused_one_is_refused(client: FlaskClient, signed_in: dict[str, Any]) -> None:
    body = {"refresh_token": signed_in["refresh_token"]}
    first, again = client.post("/v1/tokens/refresh", json=body), client.post("/v1/tokens/refresh", json=body)
    assert first.get_json()["refresh_token"] != signed_in["refresh_token"]
    assert_problem(again, 401, "token_invalid")
    assert "invalid_token" in again.headers["WWW-Authenticate"]


def test_revoking_ends_the_session_quietly(client: FlaskClient, signed_in: dict[str, Any]) -> None:
    body = {"refresh_token": signed_in["refresh_token"]}
    for _ in range(2):
        assert client.post("/v1/tokens/revoke", json=body).status_code == 204
    assert_problem(client.post("/v1/tokens/refresh", json=body), 401, "token_invalid")


@pytest.mark.parametrize("path", ["/v1/tokens/refresh", "/v1/tokens/revoke"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"refresh_token": 5}', b'{"refresh_token": ""}', b"\xff"])
def test_malformed_bodies_are_invalid(client: FlaskClient, path: str, body: bytes) -> None:
    response = client.post(path, data=body, content_type="application/json")
    assert_problem(response, 422, "invalid")


def test_a_body_without_its_type_is_invalid(client: FlaskClient) -> None:
    assert_problem(client.post("/v1/tokens/refresh", data='{"refresh_token": "x"}'), 422, "invalid")


def test_large_bodies_are_refused(client: FlaskClient) -> None:
    body = {"refresh_token": "x" * 100_000}
    assert_problem(client.post("/v1/tokens/refresh", json=body), 413, "too_large")


def test_the_published_keys_may_be_cached(client: FlaskClient, signing: Keys) -> None:
    response = client.get("/.well-known/jwks.json")
    assert response.json == signing.published()
    assert response.headers["Cache-Control"] == "public, max-age=300"


def test_unknown_paths_and_methods_are_problems(client: FlaskClient) -> None:
    assert_problem(client.get("/v1/users"), 404, "not_found")
    response = client.get("/v1/tokens")
    assert_problem(response, 405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


def test_a_ready_service_says_so(client: FlaskClient) -> None:
    assert client.get("/readyz").json == {"status": "ok", "checks": {"database": "ok"}}


def test_without_its_database_it_lives_but_is_not_ready(signing: Keys) -> None:
    engine = connect("mysql+mysqldb://nobody:secret@127.0.0.1:9/none")
    client = create_app(Users(engine, CHEAP), Tokens(engine, signing, SECONDS)).test_client()
    response = client.post("/v1/tokens", auth=("a@example.com", "x"))
    assert_problem(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").get_json()["checks"] == {"database": "away"}
    assert client.get("/healthz").status_code == 200
    assert client.get("/.well-known/jwks.json").status_code == 200
