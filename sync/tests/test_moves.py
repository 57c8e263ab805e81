"""Files in a watched folder that move, go and come."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from pipeline.catalog import RemoteFileRow
from pipeline.database import transaction
from pipeline.jobs import Jobs
from pipeline.tests.makers import OWNER
from pipeline.wishes import Wishes
from sync.tests.watched import TALK, Watched


def test_a_renamed_file_is_no_new_one(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.move("/Talks/a.mp4", "/Talks/deep/b.mp4")
    watched.watch()
    assert watched.states() == {"/Talks/deep/b.mp4": "taken"}
    assert watched.titles() == ["a.mp4"]


def test_a_file_that_gets_the_name_of_a_recording_is_one(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4.part", TALK)
    watched.watch()
    watched.dropbox.move("/Talks/a.mp4.part", "/Talks/a.mp4")
    watched.watch()
    assert watched.titles() == ["a.mp4"]


def test_a_moved_folder_takes_its_files_along(watched: Watched) -> None:
    watched.dropbox.put("/Talks/May/a.mp4", TALK)
    watched.dropbox.put("/Talks/May/deep/b.mp4", TALK + b"2")
    watched.watch()
    watched.dropbox.move("/Talks/May", "/Talks/June")
    watched.watch()
    assert watched.states() == {"/Talks/June/a.mp4": "taken", "/Talks/June/deep/b.mp4": "taken"}
    assert len(watched.jobs()) == 2


def test_files_that_change_places_keep_their_jobs(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.dropbox.put("/Talks/b.mp4", TALK + b"2")
    watched.watch()
    before = {file.remote_id: file.job_id for file in watched.files().values()}
    for path, to in [("a", "c"), ("b", "a"), ("c", "b")]:
        watched.dropbox.move(f"/Talks/{path}.mp4", f"/Talks/{to}.mp4")
    watched.watch()
    assert {file.remote_id: file.job_id for file in watched.files().values()} == before
    assert watched.states() == {"/Talks/a.mp4": "taken", "/Talks/b.mp4": "taken"}


def test_from_one_watched_folder_to_another(watched: Watched) -> None:
    watched.connect("/A", "/B")
    for start, to in [("/A", "/B"), ("/B", "/A")]:
        name = f"{start[1]}.mp4"
        watched.dropbox.put(f"{start}/{name}", TALK + name.encode())
        watched.watch()
        watched.dropbox.move(f"{start}/{name}", f"{to}/{name}")
        watched.watch()
    assert watched.states() == {"/B/A.mp4": "taken", "/A/B.mp4": "taken"}
    assert watched.titles() == ["A.mp4", "B.mp4"]
    by_number = {folder.id: folder.path for folder in watched.folders()}
    assert {by_number[file.folder_id or ""] for file in watched.files().values()} == {"/A", "/B"}


def test_a_deleted_file_leaves_its_job_alone(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks/a.mp4")
    watched.watch()
    assert watched.states() == {"/Talks/a.mp4": "gone"}
    assert [job.state for job in watched.jobs()] == ["queued"]


def test_a_deleted_file_that_had_not_settled_is_forgotten(watched: Watched) -> None:
    watched.rules = replace(watched.rules, settle=600)
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks")
    watched.watch()
    assert watched.states() == {}
    assert watched.jobs() == []


@pytest.mark.parametrize("gone", ["/Talks/a_b", "/Talks/100%", "/Talks/A_B"])
def test_no_character_of_a_name_stands_for_others(watched: Watched, gone: str) -> None:
    for number, folder in enumerate(["a_b", "axb", "100%", "1000", "a_b2"]):
        watched.dropbox.put(f"/Talks/{folder}/x.mp4", TALK + bytes([number]))
    watched.watch()
    watched.dropbox.delete(gone)
    watched.watch()
    lost = [path for path, state in watched.states().items() if state == "gone"]
    assert lost == [f"{gone.lower().replace('/talks', '/Talks')}/x.mp4"]


def test_a_file_that_takes_the_place_of_another_is_new(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks/a.mp4")
    watched.dropbox.put("/Talks/a.mp4", TALK + b"2")
    watched.watch()
    assert len(watched.jobs()) == 2
    with transaction(watched.catalog) as session:
        states = sorted(row.state for row in session.query(RemoteFileRow))
    assert states == ["gone", "taken"]


def test_a_copy_shares_what_was_fetched(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (first,) = watched.jobs()
    watched.fetch(first.id)
    watched.dropbox.put("/Talks/copy.mp4", TALK)
    watched.watch()
    assert watched.titles() == ["a.mp4", "copy.mp4"]
    assert watched.open_tasks("fetch") == []
    originals = [
        artifact
        for job in watched.jobs()
        if (seen := Jobs(watched.catalog).get(OWNER, job.id))
        for artifact in seen.artifacts
    ]
    assert sorted(made.name for made in originals) == ["a.mp4", "copy.mp4"]
    assert len({made.blob for made in originals}) == 1


def test_a_copy_of_what_is_not_kept_any_more_is_fetched(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (first,) = watched.jobs()
    watched.fetch(first.id)
    Jobs(watched.catalog).delete(OWNER, first.id)
    watched.dropbox.put("/Talks/copy.mp4", TALK)
    watched.watch()
    assert len(watched.open_tasks("fetch")) == 1


def test_a_file_that_is_moved_while_it_settles_stays_the_same(watched: Watched) -> None:
    watched.rules = replace(watched.rules, settle=600)
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    before = watched.files()["/Talks/a.mp4"]
    watched.dropbox.move("/Talks/a.mp4", "/Talks/b.mp4")
    watched.watch()
    after = watched.files()["/Talks/b.mp4"]
    assert (after.id, after.due_at) == (before.id, before.due_at)


def test_a_page_of_moves_takes_few_statements(watched: Watched) -> None:
    for number in range(100):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + b"%d" % number)
    watched.watch()
    for number in range(100):
        watched.dropbox.move(f"/Talks/{number}.mp4", f"/Talks/deep/{number}.mp4")
    statements: list[str] = []
    event.listen(watched.catalog, "before_cursor_execute", lambda *given: statements.append(given[2]))
    watched.watch()
    assert len([statement for statement in statements if "remote_files" in statement]) < 30
    assert len(watched.jobs()) == len(watched.files()) == 100


def test_what_was_in_a_folder_is_found_by_an_index(watched: Watched) -> None:
    if watched.catalog.dialect.name != "sqlite":
        pytest.skip("MySQL reads a table that is as small as this one without any")
    watched.dropbox.put("/Talks/May/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks/May")
    statements: list[tuple[str, Any]] = []
    event.listen(watched.catalog, "before_cursor_execute", lambda *given: statements.append((given[2], given[3])))
    watched.watch()
    by_path = [statement for statement in statements if "path_lower >=" in statement[0]]
    with watched.catalog.connect() as connection:
        plans = [str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given).all()) for sql, given in by_path]
    assert plans
    assert all("ix_remote_files_connection_id_path_lower" in plan for plan in plans)


# ---- folders that are watched no more


def test_a_folder_that_is_watched_again_makes_no_job_twice(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (job,) = watched.jobs()
    watched.dropbox.folder("/Other")
    _watch(watched, "/Other")
    assert watched.states() == {"/Talks/a.mp4": "gone"}
    _watch(watched, "/Talks")
    assert [one.id for one in watched.jobs()] == [job.id]
    assert watched.states() == {"/Talks/a.mp4": "taken"}


def test_what_goes_while_folders_change_is_gone(watched: Watched) -> None:
    watched.dropbox.put("/Talks/May/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks/May/a.mp4")
    _watch(watched, "/Talks/May")
    assert watched.states() == {"/Talks/May/a.mp4": "gone"}


def _watch(watched: Watched, folder: str) -> None:
    watched.connections.change(OWNER, watched.id, Wishes(folders=(folder,)))
    watched.watch_all()
