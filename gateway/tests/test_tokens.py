"""Tokens are believed only if our auth signed them, and without asking it each time."""

import time
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from gateway.tokens import MAX_AGE, PAUSE, BadToken, Identity, Tokens
from pipeline.errors import Unavailable

EXPIRES = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


class Publisher:
    """Publishes keys like auth, and can be away."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.away = False
        self.asked = 0
        self.add("first")

    def add(self, kid: str) -> None:
        self.keys[kid] = Ed25519PrivateKey.generate()

    def sign(self, kid: str = "first", **changes: Any) -> str:
        claims = {
            "iss": "spool",
            "aud": "spool",
            "sub": "a" * 32,
            "email": "ada@example.org",
            "exp": datetime.now(UTC) + timedelta(minutes=5),
        }
        kept = {name: value for name, value in (claims | changes).items() if value is not None}
        return jwt.encode(kept, self.keys[kid], algorithm="EdDSA", headers={"kid": kid})

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        jwks = [OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in self.keys.items()]
        return {"keys": jwks}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(publisher: Publisher, clock: Clock) -> Tokens:
    return Tokens(publisher, clock)


def test_a_good_token_names_its_owner_and_keys_are_fetched_once(tokens: Tokens, publisher: Publisher) -> None:
    for _ in range(3):
        found = tokens.check(publisher.sign(exp=EXPIRES))
        assert found == Identity("a" * 32, "ada@example.org", EXPIRES)
    assert publisher.asked == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": None},
        {"iss": "else"},
        {"aud": "else"},
        {"aud": None},
        {"sub": None},
        {"email": None},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)
def test_wrong_claims_are_refused(tokens: Tokens, publisher: Publisher, changes: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        tokens.check(publisher.sign(**changes))


def test_another_key_under_a_known_name_is_refused(tokens: Tokens, publisher: Publisher) -> None:
    tokens.check(publisher.sign())
    publisher.add("first")
    with pytest.raises(BadToken):
        tokens.check(publisher.sign())


@pytest.mark.parametrize("kid", ["first", "unknown", None])
def test_tokens_signed_by_a_secret_or_by_nobody_are_refused(
    tokens: Tokens, publisher: Publisher, kid: str | None
) -> None:
    claims = jwt.decode(publisher.sign(), options={"verify_signature": False})
    public = publisher.keys["first"].public_key().public_bytes_raw()
    for token in (
        jwt.encode(claims, "", algorithm="none", headers={"kid": kid} if kid else None),
        jwt.encode(claims, public, algorithm="HS256", headers={"kid": kid} if kid else None),
    ):
        with pytest.raises(BadToken):
            tokens.check(token)


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "ü.ü.ü", "e30.e30.", "." * 100_000])
def test_text_that_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    with pytest.raises(BadToken):
        tokens.check(text)


def test_a_new_key_is_found_when_a_token_names_it(tokens: Tokens, publisher: Publisher, clock: Clock) -> None:
    tokens.check(publisher.sign())
    publisher.add("second")
    clock.now += PAUSE + 1
    assert tokens.check(publisher.sign("second")).owner == "a" * 32


def test_tokens_that_name_unknown_keys_ask_auth_once_in_a_while(
    tokens: Tokens, publisher: Publisher, clock: Clock
) -> None:
    stranger = Publisher()
    stranger.add("unknown")
    for _ in range(20):
        with pytest.raises(BadToken):
            tokens.check(stranger.sign("unknown"))
        clock.now += PAUSE / 10
    assert publisher.asked <= 2


def test_a_withdrawn_key_is_forgotten(tokens: Tokens, publisher: Publisher, clock: Clock) -> None:
    token = publisher.sign()
    tokens.check(token)
    publisher.keys.clear()
    publisher.add("second")
    clock.now += MAX_AGE + 1
    with pytest.raises(BadToken):
        tokens.check(token)


def test_known_keys_go_on_working_while_auth_is_away(tokens: Tokens, publisher: Publisher, clock: Clock) -> None:
    tokens.check(publisher.sign())
    publisher.away = True
    for _ in range(10):
        clock.now += MAX_AGE
        assert tokens.check(publisher.sign()).owner == "a" * 32
    publisher.away = False
    publisher.add("second")
    clock.now += PAUSE + 1
    assert tokens.check(publisher.sign("second")).owner == "a" * 32


def test_without_keys_nothing_can_be_checked_until_auth_is_back(tokens: Tokens, publisher: Publisher) -> None:
    publisher.away = True
    with pytest.raises(Unavailable):
        tokens.check(publisher.sign())
    publisher.away = False
    assert tokens.check(publisher.sign()).owner == "a" * 32


def test_nobody_waits_for_a_refresh_who_can_do_without(publisher: Publisher, clock: Clock) -> None:
    slow, fetching, go_on = False, Event(), Event()

    def fetch() -> dict[str, Any]:
        if slow:
            fetching.set()
            assert go_on.wait(20)
        return publisher()

    tokens = Tokens(fetch, clock)
    tokens.check(publisher.sign())
    slow, clock.now = True, clock.now + MAX_AGE + 1
    refresher = Thread(target=tokens.check, args=(publisher.sign(),))
    refresher.start()
    assert fetching.wait(20)
    began = time.monotonic()
    tokens.check(publisher.sign())
    assert time.monotonic() - began < 15
    go_on.set()
    refresher.join(20)
