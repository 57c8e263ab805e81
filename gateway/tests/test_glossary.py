from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, assert_problem
from gateway.tests.spoken import a_talk
from pipeline.options import MOST_TERMS


def put(world: World, *terms: Any) -> TestResponse:
    return world.client.put("/v1/account/glossary", json={"terms": terms}, headers=world.ada)


def glossary_of(world: World, **options: str) -> list[str]:
    """That of a new job."""
    answer = world.client.put("/v1/files/talk.mp4", data=TALK, query_string=options, headers=world.ada)
    return list(answer.json["options"]["glossary"])


def test_a_glossary_is_kept_for_its_owner(world: World) -> None:
    assert world.get("/v1/account/glossary").json == {"terms": []}
    answer = put(world, "Flopsy", " Mopsy ", "flopsy", "Kætzchen, the cat")
    assert (answer.status_code, answer.json) == (200, {"terms": ["Flopsy", "Mopsy", "Kætzchen, the cat"]})
    assert world.get("/v1/account/glossary").json == answer.json
    assert world.client.get("/v1/account/glossary", headers=world.bob).json == {"terms": []}
    assert put(world).json == world.get("/v1/account/glossary").json == {"terms": []}


def test_it_leaves_the_rest_of_the_account_alone(world: World) -> None:
    world.client.patch("/v1/account", json={"keep_original_days": 7}, headers=world.ada)
    put(world, "Flopsy")
    assert world.get("/v1/account").json["retention"]["keep_original_days"] == 7
    world.client.patch("/v1/account", json={"keep_original_days": 8}, headers=world.ada)
    assert world.get("/v1/account/glossary").json == {"terms": ["Flopsy"]}


@pytest.mark.parametrize("terms", [[""], [" "], ["x" * 101], [7], [None], ["x"] * (MOST_TERMS + 1)])
def test_what_is_no_glossary_is_refused(world: World, terms: list[Any]) -> None:
    put(world, "Flopsy")
    assert_problem(put(world, *terms), 422, "invalid")
    assert world.get("/v1/account/glossary").json == {"terms": ["Flopsy"]}


def test_a_job_has_its_own_terms_first_and_then_its_owners(world: World) -> None:
    put(world, "Mopsy", "Cottontail")
    assert glossary_of(world) == ["Mopsy", "Cottontail"]
    assert glossary_of(world, glossary="Flopsy,MOPSY") == ["Flopsy", "MOPSY", "Cottontail"]


def test_a_job_has_no_more_terms_than_may_be(world: World) -> None:
    put(world, *(f"ours {number}" for number in range(MOST_TERMS)))
    merged = glossary_of(world, glossary="first")
    assert (merged[:2], len(merged)) == (["first", "ours 0"], MOST_TERMS)


def test_with_another_glossary_a_recording_is_worked_on_anew(world: World) -> None:
    a_talk(world)
    assert world.client.put("/v1/files/talk.mp4", data=TALK, headers=world.ada).json["reused"]
    put(world, "Flopsy")
    assert not world.client.put("/v1/files/talk.mp4", data=TALK, headers=world.ada).json["reused"]


def test_what_is_transcribed_again_has_the_newest_terms(world: World) -> None:
    job_id = a_talk(world, glossary="Flopsy")
    put(world, "Mopsy")
    answer = world.client.post(f"/v1/jobs/{job_id}/transcribe", json={}, headers=world.ada)
    assert answer.json["options"]["glossary"] == ["Flopsy", "Mopsy"]


def test_a_glossary_is_for_who_has_signed_in(world: World) -> None:
    assert_problem(world.client.get("/v1/account/glossary"), 401, "unauthorized")
    assert_problem(world.client.put("/v1/account/glossary", json={"terms": []}), 401, "unauthorized")
