from typing import Any

import pytest

from gateway.tests.conftest import World
from gateway.tests.exchanges import assert_problem
from gateway.tests.spoken import a_talk
from pipeline.transcript import Segment


def found(world: World, q: str, **query: Any) -> Any:
    answer = world.client.get("/v1/search", query_string={"q": q, **query}, headers=world.ada)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_hit_leads_to_what_was_said(world: World) -> None:
    job_id = a_talk(world, title="On rabbits")
    page = found(world, "CLOVER rabb*")
    (hit,) = page["items"]
    assert page["next"] is None
    assert hit == {
        "job": job_id,
        "title": "On rabbits",
        "created_at": world.get(f"/v1/jobs/{job_id}").json["created_at"],
        "start": 0.0,
        "end": 2.5,
        "snippet": "Rabbits eat clover.",
        "highlights": [[0, 7], [12, 18]],
        "href": f"/v1/jobs/{job_id}/transcript",
    }
    assert world.get(hit["href"]).json["segments"][0]["text"] == hit["snippet"]


def test_highlights_count_code_points(world: World) -> None:
    a_talk(world, [Segment(0, 1, "😀😀 clover")])
    (hit,) = found(world, "clover")["items"]
    assert hit["highlights"] == [[3, 9]]


def test_what_others_said_is_not_found(world: World) -> None:
    a_talk(world, user=world.bob)
    assert found(world, "clover") == {"items": [], "next": None}


def test_pages_lead_through_all_hits_newest_job_first(world: World) -> None:
    made = [
        a_talk(world, [Segment(number, number + 1, "so") for number in range(3)], title=str(job)) for job in range(3)
    ]
    seen, cursor = [], ""
    while cursor is not None:
        page = found(world, "so", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [(hit["job"], hit["start"]) for hit in page["items"]]
        cursor = page["next"]
    assert seen == [(job_id, start) for job_id in made[::-1] for start in (0, 1, 2)]


def test_a_deleted_job_is_found_no_more(world: World) -> None:
    job_id = a_talk(world)
    world.client.delete(f"/v1/jobs/{job_id}", headers=world.ada)
    assert found(world, "clover")["items"] == []


@pytest.mark.parametrize(
    "query", ["", "q=", "q=%22%22", "q=*", f"q={'x' * 301}", "q=so&limit=0", "q=so&limit=101", "q=so&cursor=x"]
)
def test_a_wrong_query_is_refused(world: World, query: str) -> None:
    assert_problem(world.get(f"/v1/search?{query}"), 422, "invalid")


def test_search_is_for_who_has_signed_in(world: World) -> None:
    assert_problem(world.client.get("/v1/search?q=so"), 401, "unauthorized")
