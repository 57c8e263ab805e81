"""Exports over HTTP: what is asked for and answered, what their zip has, and who may see them."""

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import NOBODYS, TALK, a_file, assert_problem, finish, upload
from gateway.tests.test_archive import add
from gateway.tests.test_downloads import open_files
from pipeline import database
from pipeline.catalog import ArtifactRow, JobRow
from pipeline.cursors import make_cursor
from pipeline.exports import LINES, MOST_OPEN, TABLE, ManifestLine, Totals
from pipeline.jobs import Jobs
from pipeline.library import DELETION_DAYS, Library, Wanted
from pipeline.reuse import artifact_row
from pipeline.work import Artifact, Result, Task


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are told as soon as they are there."""
    monkeypatch.setattr("pipeline.library.SETTLE", timedelta())


def post(world: World, user: dict[str, str] | None = None, **wanted: Any) -> TestResponse:
    return world.client.post("/v1/exports", json=wanted, headers=user or world.ada)


def claimed(world: World, export_id: str) -> Task:
    tasks = world.services.dispatcher.tasks
    consumer = world.queue.consumer(["export"])
    delivery = consumer.receive(1)
    assert delivery
    consumer.ack(delivery)
    consumer.close()
    task = tasks.claim(delivery.message.task_id, "a worker")
    assert task
    assert task.job_id == export_id
    return task


def work(world: World, task: Task) -> None:
    """As sync does it, but that the table is none."""
    found = Library(world.services.catalog).recordings(task.owner, Wanted.model_validate(task.args))
    lines = [
        ManifestLine(
            name=file.name,
            size=file.artifact.bytes,
            sha256=file.artifact.sha256,
            link="https://spool.example.org/v1/links/x",
            job=recording.id,
            title=recording.title,
            fid=file.artifact.id,
            type=file.artifact.type,
            kind=file.artifact.kind,
            created_at=recording.created_at,
        )
        for recording in found
        for file in recording.files
    ]
    totals = Totals(files=len(lines), bytes=sum(line.size for line in lines), jobs=1, cursor="c").model_dump()
    made = []
    for name, content in ((LINES, "".join(f"{line.model_dump_json()}\n" for line in lines)), (TABLE, "name\r\n")):
        blob, data = task.blob_id(name.rpartition(".")[2]), content.encode()
        with world.services.blobs.create(blob) as target:
            target.write(data)
        sha256 = hashlib.sha256(data).hexdigest()
        made.append(Artifact(name, "manifest", "application/jsonl", len(data), sha256, blob, facts=totals))
    world.services.dispatcher.tasks.finish(task, Result(made))


def exported(world: World, **wanted: Any) -> dict[str, Any]:
    """An export that is done."""
    answer = post(world, **wanted)
    assert answer.status_code == 202
    work(world, claimed(world, answer.json["id"]))
    found: dict[str, Any] = world.get(f"/v1/exports/{answer.json['id']}").get_json()
    return found


def a_talk(world: World, *names: str, first: str = "talk.mp4", content: bytes = TALK, **options: str) -> str:
    """The id of a job that is done, and has results called `names`."""
    job_id = str(
        upload(world, {**options, "waveform": "no", "transcribe": "no", "file": a_file(first, content)}).json["id"]
    )
    finish(world, job_id)
    for number, name in enumerate(names):
        add(world, job_id, name, f"{job_id}-{number}", f"{name} {job_id}".encode())
    return job_id


def unzipped(answer: TestResponse) -> zipfile.ZipFile:
    assert answer.status_code == 200
    assert answer.content_length == len(answer.data)
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    return archive


def archive_of(world: World, export: dict[str, Any]) -> zipfile.ZipFile:
    return unzipped(world.get(f"/v1/exports/{export['id']}/archive"))


def folder(job_id: str, title: str = "talk") -> str:
    return f"{title} ({job_id[:12]})"


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


@pytest.mark.parametrize(("notify", "heard"), [([], ()), (["bob@example.org"], ("bob@example.org",))])
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


def test_a_zip_of_many_files_needs_little_memory(world: World) -> None:
    job_id = a_talk(world)
    add_rows(world, job_id, 3000)
    export = exported(world, artifacts=["transcript"])
    assert export["files"] == 3000
    tracemalloc.start()
    try:
        answer = world.client.head(f"/v1/exports/{export['id']}/archive", headers=world.ada)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.content_length > 0
    assert peak < 10_000_000


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


def changes(world: World, cursor: str | None = None, limit: int = 100) -> dict[str, Any]:
    query = {"limit": limit, **({"cursor": cursor} if cursor else {})}
    answer = world.client.get("/v1/exports/changes", query_string=query, headers=world.ada)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


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
    for query in ("cursor=x", "limit=0", "limit=501", f"cursor={make_cursor(old)}"):
        assert_problem(world.get(f"/v1/exports/changes?{query}"), 422, "invalid")


def test_an_export_goes_on_where_changes_were_and_changes_where_an_export_was(world: World) -> None:
    a_talk(world)
    cursor = changes(world)["cursor"]
    new = a_talk(world, content=TALK[::-1])
    names: Sequence[str] = archive_of(world, exported(world, since=cursor)).namelist()
    assert {name.partition("/")[0] for name in names if "/" in name} == {folder(new)}
