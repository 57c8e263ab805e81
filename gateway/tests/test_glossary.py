from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, a_file, assert_problem, upload
from gateway.tests.spoken import a_talk
from pipeline.options import MOST_TERMS


def put(world: World, *terms: Any) -> TestResponse:
    return world.client.put("/v1/account/glossary", json={"terms": terms}, headers=world.ada)


def new_job(world: World, **options: str) -> TestResponse:
    return world.client.put("/v1/files/talk.mp4", data=TALK, query_string=options, headers=world.ada)


def again(world: World, job_id: str, **options: Any) -> TestResponse:
    return world.client.post(f"/v1/jobs/{job_id}/transcribe", json=options, headers=world.ada)


def told(world: World, kind: str = "extract") -> list[str]:
    """The terms that the next task of that kind has for a speech model."""
    delivery = world.queue.consumer([kind]).receive(1)
    assert delivery
    task = world.services.dispatcher.tasks.claim(delivery.message.task_id, "a worker")
    assert task
    return list(task.options.terms)


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
    assert new_job(world).json["options"]["glossary"] == []
    assert told(world) == ["Mopsy", "Cottontail"]
    assert new_job(world, glossary="Flopsy,MOPSY").json["options"]["glossary"] == ["Flopsy", "MOPSY"]
    assert told(world) == ["Flopsy", "MOPSY", "Cottontail"]


def test_what_is_fetched_has_its_owners_terms_too(world: World) -> None:
    put(world, "Mopsy")
    body = {"url": "https://media.example.org/talk.mp4", "glossary": ["Flopsy"]}
    answer = world.client.post("/v1/jobs", json=body, headers=world.ada)
    assert answer.json["options"]["glossary"] == ["Flopsy"]
    assert told(world, "fetch") == ["Flopsy", "Mopsy"]


def test_a_job_has_no_more_terms_than_may_be(world: World) -> None:
    put(world, *(f"ours {number}" for number in range(MOST_TERMS)))
    new_job(world, glossary="first")
    terms = told(world)
    assert (terms[:2], len(terms)) == (["first", "ours 0"], MOST_TERMS)


def test_nobody_gives_a_job_terms_as_if_they_were_the_accounts(world: World) -> None:
    forged = {"account_glossary": "Mopsy"}
    assert_problem(new_job(world, **forged), 422, "invalid")
    assert_problem(again(world, a_talk(world), **forged), 422, "invalid")
    assert "account_glossary" not in upload(world, {"file": a_file(), "language": "en", **forged}).json["options"]
    assert told(world) == []


def test_with_another_glossary_a_recording_is_worked_on_anew(world: World) -> None:
    a_talk(world)
    assert new_job(world).json["reused"]
    put(world, "Flopsy")
    assert not new_job(world).json["reused"]


def test_the_same_terms_make_the_same_results_whosever_they_are(world: World) -> None:
    a_talk(world, glossary="Flopsy,Mopsy")
    put(world, "mopsy", "Flopsy")
    assert new_job(world, glossary="Flopsy,Mopsy").json["reused"]
    assert not new_job(world, glossary="Flopsy").json["reused"], "mopsy is spelt otherwise"


def test_what_is_transcribed_again_has_the_newest_terms(world: World) -> None:
    """A term that was misspelt is told no more, and leaves its room to others."""
    put(world, "Mobsy", *(f"old {number}" for number in range(MOST_TERMS - 1)))
    job_id = a_talk(world, glossary="Flopsy")
    put(world, "Mopsy")
    answer = again(world, job_id)
    assert (answer.status_code, answer.json["options"]["glossary"]) == (202, ["Flopsy"])
    assert told(world, "cut") == ["Flopsy", "Mopsy"]


def test_without_terms_of_its_own_a_recording_has_its_owners(world: World) -> None:
    job_id = a_talk(world, glossary="Flopsy")
    put(world, "Mopsy")
    assert again(world, job_id, glossary=None).json["options"]["glossary"] == []
    assert told(world, "cut") == ["Mopsy"]


def test_a_glossary_is_for_who_has_signed_in(world: World) -> None:
    assert_problem(world.client.get("/v1/account/glossary"), 401, "unauthorized")
    assert_problem(world.client.put("/v1/account/glossary", json={"terms": []}), 401, "unauthorized")
