"""Exports over HTTP: what is asked for and answered, what their zip has, and who may see them."""

import hashlib
import io
import json
import tracemalloc
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from gateway import zips
from gateway.tests.conftest import World
from gateway.tests.exchanges import NOBODYS, TALK, a_file, assert_problem, upload
from gateway.tests.exporting import a_talk, archive_of, changes, claimed, exported, folder, post, work
from gateway.tests.test_downloads import open_files
from pipeline import database
from pipeline.catalog import ArtifactRow, JobRow
from pipeline.cursors import make_cursor
from pipeline.exports import LINES, MOST_OPEN, TABLE
from pipeline.jobs import Jobs
from pipeline.library import Library, Wanted
from pipeline.reuse import artifact_row
from pipeline.work import Artifact


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are told as soon as they are there."""
    monkeypatch.setattr("pipeline.library.SETTLE", timedelta())


def test_an_export_is_accepted_worked_off_and_looked_at(world: World) -> None:
    a_talk(world)
    answer = post(world)
    assert answer.status_code == 202
    export = answer.json
    assert answer.headers["Location"] == f"/v1/exports/{export['id']}"
    assert (export["state"], export["percent"], export["manifests"]) == ("queued", 0, [])
    assert (export["files"], export["archive"], export["link"]) == (None, None, None)
    work(world, claimed(world, export["id"]))
    done = world.get(answer.headers["Location"]).json
    assert (done["state"], done["percent"], done["reason"]) == ("done", 100, None)
    assert (done["files"], done["bytes"]) == (2, len(TALK) + len(b"mp3"))
    assert [manifest["name"] for manifest in done["manifests"]] == [TABLE, LINES]
    (manifest,) = [found for found in done["manifests"] if found["name"] == LINES]
    content = world.get(manifest["href"]).data
    assert (len(content), hashlib.sha256(content).hexdigest()) == (manifest["bytes"], manifest["sha256"])
    assert {json.loads(line)["title"] for line in content.splitlines()} == {"talk.mp4"}


def test_what_is_wanted_reaches_the_worker(world: World) -> None:
    wanted: dict[str, Any] = {
        "artifacts": ["audio", "srt"],
        "tags": ["board"],
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-02-01T00:00:00Z",
        "since": Library(world.services.catalog).cursor(),
    }
    task = claimed(world, post(world, **wanted).json["id"])
    assert Wanted.model_validate(task.args) == Wanted.model_validate(wanted)
    assert task.options.notify == ("ada@example.org",)


@pytest.mark.parametrize(
    ("notify", "heard"), [([], ()), (["bob@example.org", "Bob@Example.org"], ("bob@example.org",))]
)
def test_who_hears_of_it_can_be_said(world: World, notify: list[str], heard: tuple[str, ...]) -> None:
    assert claimed(world, post(world, notify=notify).json["id"]).options.notify == heard


def test_mails_to_others_are_bounded(world: World) -> None:
    world = world.changed(quota_day_mails=1)
    assert post(world, notify=["bob@example.org"]).status_code == 202
    assert_problem(post(world, notify=["bob@example.org"]), 429, "quota_mails")


@pytest.mark.parametrize(
    "wanted",
    [
        {"artifacts": []},
        {"artifacts": ["layer"]},
        {"artifacts": ["exe"]},
        {"tags": ["x" * 51]},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},
        {"from": "9999-12-31T23:59:59-14:00"},
        {"to": "0001-01-01T00:00:00+14:00"},
        {"to": "0001-01-01T00:00:00Z"},
        {"since": make_cursor(datetime.max.replace(tzinfo=UTC), NOBODYS, "9999-12-31T23:59:59-14:00")},
        {"since": "x"},
        {"since": make_cursor(database.now(), NOBODYS)},
        {"notify": ["nobody"]},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_is_refused(world: World, wanted: dict[str, Any]) -> None:
    assert_problem(post(world, **wanted), 422, "invalid")
    assert world.is_untouched()


def test_a_user_has_so_many_unfinished_exports_at_a_time(world: World) -> None:
    found = [post(world).json["id"] for _ in range(MOST_OPEN)]
    answer = post(world)
    assert_problem(answer, 429, "too_many_exports")
    assert (answer.json["limit"], answer.headers["Retry-After"]) == (MOST_OPEN, "10")
    assert post(world, world.bob).status_code == 202
    assert world.client.delete(f"/v1/exports/{found[0]}", headers=world.ada).status_code == 204
    assert post(world).status_code == 202


def test_an_export_takes_no_place_of_a_job(world: World) -> None:
    world = world.changed(quota_jobs=1)
    post(world)
    assert upload(world, {"file": a_file()}).status_code == 202
    assert world.get("/v1/jobs").json["items"][0]["title"] == "talk.mp4"
    assert len(world.get("/v1/jobs").json["items"]) == 1


def test_exports_are_listed_page_by_page(world: World) -> None:
    made = [post(world).json["id"] for _ in range(3)]
    first = world.get("/v1/exports?limit=2").json
    second = world.get(f"/v1/exports?limit=2&cursor={first['next']}").json
    assert [found["id"] for found in (*first["items"], *second["items"])] == made[::-1]
    assert second["next"] is None
    assert_problem(world.get("/v1/exports?cursor=x"), 422, "invalid")


def test_the_zip_has_every_file_under_the_names_of_the_manifest(world: World) -> None:
    one, other = a_talk(world, "talk.txt"), a_talk(world, "talk.txt", content=TALK[::-1])
    export = exported(world)
    archive = archive_of(world, export)
    lines = [json.loads(line) for line in archive.read(LINES).splitlines()]
    assert set(archive.namelist()) == {LINES, TABLE, *(line["name"] for line in lines)}
    assert {name.partition("/")[0] for name in archive.namelist() if "/" in name} == {folder(one), folder(other)}
    for line in lines:
        content = archive.read(line["name"])
        assert (len(content), hashlib.sha256(content).hexdigest()) == (line["size"], line["sha256"]) or line[
            "kind"
        ] == "audio"
    assert open_files() == 0


def test_what_went_or_changed_meanwhile_is_named_and_left_out(world: World) -> None:
    gone, kept = a_talk(world, "talk.txt"), a_talk(world, "a.txt", "b.txt", content=TALK[::-1])
    export = exported(world)
    Jobs(world.services.catalog).delete(a_row(world, gone).owner, gone)
    with database.transaction(world.services.catalog) as session:
        session.query(ArtifactRow).filter_by(job_id=kept, name="a.txt").update({"sha256": "1" * 64})
    archive = archive_of(world, export)
    missing = archive.read("missing.txt").decode().splitlines()
    assert sorted(missing) == sorted(
        [f"{folder(gone)}/{name}" for name in ("talk.mp3", "talk.mp4", "talk.txt")] + [f"{folder(kept)}/a.txt"]
    )
    assert {name for name in archive.namelist() if "/" in name} == {
        f"{folder(kept)}/{name}" for name in ("talk.mp3", "talk.mp4", "b.txt")
    }


def a_row(world: World, job_id: str) -> JobRow:
    with database.transaction(world.services.catalog) as session:
        return session.get_one(JobRow, job_id)


def test_what_goes_while_it_is_sent_never_looks_whole(world: World) -> None:
    job_id = a_talk(world, "z.txt")
    export = exported(world)
    answer = world.client.get(f"/v1/exports/{export['id']}/archive", headers=world.ada)
    chunks = answer.iter_encoded()
    received = [next(chunks)]
    Jobs(world.services.catalog).delete(a_row(world, job_id).owner, job_id)
    with pytest.raises(LookupError):
        received.extend(chunks)
    answer.close()
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(received)))
    assert open_files() == 0


def test_an_export_that_is_not_done_has_no_zip(world: World) -> None:
    assert_problem(world.get(f"/v1/exports/{post(world).json['id']}/archive"), 409, "conflict")


def test_a_zip_needs_a_kilobyte_of_memory_for_each_file(world: World) -> None:
    few, many = an_export_of(world, 1000), an_export_of(world, 5000)
    memory_of_zip(world, "GET", few)  # what is needed once
    for method in ("HEAD", "GET"):
        assert memory_of_zip(world, method, many) - memory_of_zip(world, method, few) < 4000 * 1024


def an_export_of(world: World, files: int) -> dict[str, Any]:
    tag = f"{files} files"
    add_rows(world, a_talk(world, content=TALK + tag.encode(), tags=tag), files)
    export = exported(world, artifacts=["transcript"], tags=[tag])
    assert export["files"] == files
    return export


def memory_of_zip(world: World, method: str, export: dict[str, Any]) -> int:
    """Bytes at the most while it is sent; the client keeps none of it."""
    tracemalloc.start()
    try:
        answer = world.client.open(f"/v1/exports/{export['id']}/archive", method=method, headers=world.ada)
        sent = sum(map(len, answer.iter_encoded()))
        answer.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent == (answer.content_length if method == "GET" else 0)
    return peak


def test_so_many_zips_are_sent_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MOST", zips.MOST_EACH + 1)
    a_talk(world)
    mine, theirs = exported(world), exported(world, world.bob)

    def begun(export: dict[str, Any], method: str = "GET") -> TestResponse:
        return world.client.open(urlsplit(export["link"]).path, method=method)

    sent = [begun(mine) for _ in range(zips.MOST_EACH)]
    for method in ("GET", "HEAD"):
        refused = begun(mine, method)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
    sent.append(begun(theirs))
    assert {answer.status_code for answer in sent} == {200}
    assert begun(theirs).status_code == 503
    for answer in sent:
        answer.close()
    for _ in range(zips.MOST + 1):  # also one that is only looked at, or refused, gives its place back
        for method in ("HEAD", "GET"):
            answer = begun(mine, method)
            assert answer.status_code == 200
            answer.close()
    assert open_files() == 0


def add_rows(world: World, job_id: str, count: int) -> None:
    """Files with a blob that they share."""
    with world.services.blobs.create(f"{job_id}-same") as target:
        target.write(b"same")
    same = Artifact("", "transcript", "text/plain", 4, hashlib.sha256(b"same").hexdigest(), f"{job_id}-same")
    with database.transaction(world.services.catalog) as session:
        session.add_all(artifact_row(job_id, same, name=f"{number}.txt") for number in range(count))


@pytest.mark.parametrize("method", ["get", "head"])
def test_its_link_opens_the_zip_without_a_sign_in(world: World, method: str) -> None:
    a_talk(world)
    export = exported(world)
    path = urlsplit(export["link"]).path
    answer = world.client.open(path, method=method.upper(), buffered=True)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.content_length == len(world.get(export["archive"]).data)
    shared = world.client.get(path.removesuffix("/archive")).json
    assert sorted(file["name"] for file in shared["files"]) == [TABLE, LINES]
    assert world.client.get(shared["files"][0]["href"], buffered=True).status_code == 200
    assert world.client.get(shared["archive"], buffered=True).status_code == 200


def test_its_link_ends_with_it_and_can_be_revoked(world: World) -> None:
    export, other = exported(world), exported(world)
    world.client.delete(f"/v1/exports/{export['id']}", headers=world.ada)
    world.client.delete(f"/v1/jobs/{other['id']}/links", headers=world.ada)
    for found in (export, other):
        assert_problem(world.client.get(urlsplit(found["link"]).path), 404, "not_found")
        assert_problem(world.client.get(urlsplit(found["link"]).path.removesuffix("/archive")), 404, "not_found")
    old = replace(world.services.links, seconds=-1).sign_job(exported(world)["id"])
    assert_problem(world.client.get(f"/v1/links/{old}/archive"), 410, "link_expired")


def test_links_begin_with_the_public_address(world: World) -> None:
    world = world.changed(public_url="https://spool.example.org/")
    assert exported(world)["link"].startswith("https://spool.example.org/v1/links/")


def test_a_deleted_export_takes_its_manifests_along_and_no_recording(world: World) -> None:
    job_id = a_talk(world)
    export = exported(world)
    cursor = changes(world)["cursor"]
    assert world.client.delete(f"/v1/exports/{export['id']}", headers=world.ada).status_code == 204
    assert_problem(world.get(f"/v1/exports/{export['id']}"), 404, "not_found")
    world.services.removals.carry_out()
    assert {blob.id for blob in world.services.blobs.list()} == {
        made.blob
        for made in Jobs(world.services.catalog).get(a_row(world, job_id).owner, job_id).artifacts  # type: ignore[union-attr]
    }
    assert changes(world, cursor)["items"] == []


def test_others_find_nothing(world: World) -> None:
    a_talk(world)
    export = exported(world)
    for path in ("", "/archive"):
        answer = world.client.get(f"/v1/exports/{export['id']}{path}", headers=world.bob)
        assert_problem(answer, 404, "not_found")
    assert_problem(world.client.delete(f"/v1/exports/{export['id']}", headers=world.bob), 404, "not_found")
    assert world.client.get("/v1/exports", headers=world.bob).json["items"] == []
    assert world.client.get("/v1/exports/changes", headers=world.bob).json["items"] == []
    for manifest in export["manifests"]:
        assert_problem(world.client.get(manifest["href"], headers=world.bob), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/v1/exports", "/v1/exports/changes", f"/v1/exports/{NOBODYS}", f"/v1/exports/{NOBODYS}/archive"]
)
def test_who_has_not_signed_in_gets_nothing(world: World, path: str) -> None:
    assert_problem(world.client.get(path), 401, "unauthorized")


@pytest.mark.parametrize("export_id", [NOBODYS, "x", "../jobs"])
def test_an_id_that_nothing_has_is_not_found(world: World, export_id: str) -> None:
    assert_problem(world.get(f"/v1/exports/{export_id}"), 404, "not_found")


def test_a_recording_is_no_export_and_an_export_no_recording(world: World) -> None:
    job_id, export = a_talk(world), exported(world)
    assert_problem(world.get(f"/v1/exports/{job_id}"), 404, "not_found")
    assert_problem(world.get(f"/v1/jobs/{export['id']}"), 404, "not_found")
