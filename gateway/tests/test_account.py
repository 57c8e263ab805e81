from typing import Any

import pytest

from gateway.tests.conftest import ADA, BOB, World
from gateway.tests.exchanges import TALK, a_file, assert_problem, upload


@pytest.fixture
def limited(world: World) -> World:
    """An installation that keeps what is uploaded for 90 days."""
    return world.changed(quota_stored_bytes=10**6, keep_original_days=90)


def change(world: World, user: dict[str, str] | None = None, **retention: Any) -> Any:
    return world.client.patch("/v1/account", json=retention, headers=user or world.ada)


def test_an_account_shows_what_may_be_used_and_what_is(limited: World) -> None:
    upload(limited, {"file": a_file()})
    account = limited.get("/v1/account").json
    (owner,) = {limited.services.tokens.check(limited.ada["Authorization"].removeprefix("Bearer ")).owner}
    assert account == {
        "owner": owner,
        "email": ADA,
        "limits": {
            "stored_bytes": 10**6,
            "day_bytes": None,
            "jobs": None,
            "month_minutes": None,
            "day_mails": 100,
            "day_speech_minutes": None,
        },
        "use": {
            "stored_bytes": len(TALK),
            "day_bytes": len(TALK),
            "jobs": 1,
            "month_minutes": 0,
            "day_mails": 0,
            "day_speech_minutes": 0,
        },
        "retention": {"keep_original_days": 90, "keep_result_days": None},
        "mails": "all",
        "unsubscribed": [],
    }


def test_users_say_how_long_their_own_things_are_kept(limited: World) -> None:
    answer = change(limited, keep_original_days=7, keep_result_days=30)
    assert answer.status_code == 200
    assert answer.json == limited.get("/v1/account").json
    assert answer.json["retention"] == {"keep_original_days": 7, "keep_result_days": 30}
    others = limited.client.get("/v1/account", headers=limited.bob).json
    assert others["retention"] == {"keep_original_days": 90, "keep_result_days": None}


def test_what_is_not_given_stays_and_null_gives_the_default_back(limited: World) -> None:
    change(limited, keep_original_days=7, keep_result_days=30)
    assert change(limited, keep_result_days=31).json["retention"] == {"keep_original_days": 7, "keep_result_days": 31}
    assert change(limited).json["retention"] == {"keep_original_days": 7, "keep_result_days": 31}
    again = change(limited, keep_original_days=None, keep_result_days=None).json
    assert again["retention"] == {"keep_original_days": 90, "keep_result_days": None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_original_days": 0},
        {"keep_result_days": -1},
        {"keep_result_days": 36501},
        {"keep_result_days": "soon"},
        {"keep_result_days": 1.5},
        {"stored_bytes": 10**12},
        {"owner": "0" * 32},
        {"mails": "some"},
        {"mails": ["all"]},
        {"unsubscribed": []},
    ],
)
def test_nothing_else_can_be_changed(limited: World, wrong: dict[str, Any]) -> None:
    before = limited.get("/v1/account").json
    assert_problem(change(limited, **wrong), 422, "invalid")
    assert limited.get("/v1/account").json == before


@pytest.mark.parametrize("choice", ["all", "failures", "none", "digest"])
def test_users_say_which_mails_they_want(world: World, choice: str) -> None:
    assert change(world, mails=choice).json["mails"] == choice
    assert change(world, keep_result_days=3).json["mails"] == choice
    assert world.client.get("/v1/account", headers=world.bob).json["mails"] == "all"
    assert change(world, mails=None).json["mails"] == "all"


def test_a_choice_of_mails_takes_back_that_ones_own_address_has_unsubscribed(world: World) -> None:
    owner = world.get("/v1/account").json["owner"]
    for address in (ADA, BOB):
        world.services.mails.unsubscribe(owner, address)
    assert world.get("/v1/account").json["unsubscribed"] == [ADA, BOB]
    assert change(world, keep_result_days=3).json["unsubscribed"] == [ADA, BOB]
    assert change(world, mails="all").json["unsubscribed"] == [BOB]


def test_an_account_is_for_who_has_signed_in(world: World) -> None:
    assert_problem(world.client.get("/v1/account"), 401, "unauthorized")
    assert_problem(world.client.patch("/v1/account", json={}), 401, "unauthorized")
