"""Changes over HTTP, for clients that mirror a library."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, assert_problem
from gateway.tests.exporting import a_talk, archive_of, changes, exported, folder
from pipeline.cursors import make_cursor
from pipeline.library import DELETION_DAYS


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are told as soon as they are there."""
    monkeypatch.setattr("pipeline.library.SETTLE", timedelta())


def test_changes_are_told_with_what_is_needed_to_fetch_them(world: World) -> None:
    job_id = a_talk(world)
    page = changes(world)
    (item,) = page["items"]
    assert (item["job"], item["change"], item["title"], item["state"]) == (job_id, "new", "talk.mp4", "done")
    assert [file["name"] for file in item["files"]] == [f"{folder(job_id)}/talk.mp3", f"{folder(job_id)}/talk.mp4"]
    original = item["files"][1]
    content = world.get(original["href"]).data
    assert (len(content), hashlib.sha256(content).hexdigest()) == (original["size"], original["sha256"])
    assert (page["more"], changes(world, page["cursor"])["items"]) == (False, [])
    world.client.delete(f"/v1/jobs/{job_id}", headers=world.ada)
    (gone,) = changes(world, page["cursor"])["items"]
    assert (gone["job"], gone["change"], gone["files"], gone["title"]) == (job_id, "deleted", [], None)


def test_changes_come_in_pages(world: World) -> None:
    made = [a_talk(world, content=TALK + bytes([number])) for number in range(3)]
    first = changes(world, limit=2)
    second = changes(world, first["cursor"], limit=2)
    assert [item["job"] for item in (*first["items"], *second["items"])] == made
    assert (first["more"], second["more"]) == (True, False)


def test_a_cursor_that_is_too_old_or_none_is_refused(world: World) -> None:
    old = datetime.now(UTC) - timedelta(days=DELETION_DAYS + 1)
    answer = world.get(f"/v1/exports/changes?cursor={make_cursor(old, '', old.isoformat())}")
    assert_problem(answer, 410, "cursor_expired")
    never = make_cursor(datetime.min.replace(tzinfo=UTC), "", old.isoformat())
    for query in ("cursor=x", "limit=0", "limit=501", f"cursor={make_cursor(old)}", f"cursor={never}"):
        assert_problem(world.get(f"/v1/exports/changes?{query}"), 422, "invalid")


def test_an_export_goes_on_where_changes_were_and_changes_where_an_export_was(world: World) -> None:
    a_talk(world)
    cursor = changes(world)["cursor"]
    new = a_talk(world, content=TALK[::-1])
    names: Sequence[str] = archive_of(world, exported(world, since=cursor)).namelist()
    assert {name.partition("/")[0] for name in names if "/" in name} == {folder(new)}
