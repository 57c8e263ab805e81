"""A picture that a form brings beside its recording."""

import hashlib
import io
import itertools
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from dev.waiting import eventually
from gateway.app import create_app
from gateway.covers import LARGEST
from gateway.tests.conftest import LIMIT, World
from gateway.tests.exchanges import TALK, File, a_file, assert_problem, finish, upload
from pipeline.accounts import Accounts
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import ArtifactRow, Base, JobRow
from pipeline.database import transaction
from pipeline.errors import Unavailable
from pipeline.work import Task

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(1000)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(1000)


@pytest.fixture
def world(world: World) -> World:
    """With room for a recording and the largest cover."""
    return world.changed(upload_limit=LIMIT + LARGEST)


def a_cover(content: bytes = JPEG, name: str = "front.jpg") -> File:
    return io.BytesIO(content), name


def kept(world: World, job_id: str) -> list[tuple[str, str, bytes]]:
    """Kind, name and content of all files of the job."""
    with transaction(world.services.catalog) as session:
        rows = session.scalars(select(ArtifactRow).where(ArtifactRow.job_id == job_id).order_by(ArtifactRow.kind)).all()
    found = []
    for row in rows:
        with world.services.blobs.open(row.blob) as blob:
            content = blob.read()
        assert (row.bytes, row.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        found.append((row.kind, row.name, content))
    return found


def claimed(world: World) -> Task:
    delivery = world.queue.consumer(["extract"]).receive(1)
    assert delivery is not None
    task = world.services.dispatcher.tasks.claim(delivery.message.task_id, "worker")
    assert task is not None
    return task


@pytest.mark.parametrize("order", list(itertools.permutations(["file", "cover", "title"])))
def test_a_cover_is_kept_with_its_job_wherever_it_stands_in_the_form(world: World, order: tuple[str, ...]) -> None:
    sent = {"file": a_file(), "cover": a_cover(), "title": "My talk"}
    answer = upload(world, {name: sent[name] for name in order})
    assert answer.status_code == 202
    job = answer.json
    assert (job["title"], [found["name"] for found in job["artifacts"]]) == ("My talk", ["talk.mp4"])
    assert kept(world, job["id"]) == [("cover", "cover.jpg", JPEG), ("original", "talk.mp4", TALK)]


@pytest.mark.parametrize(
    ("content", "name", "media_type"), [(JPEG, "cover.jpg", "image/jpeg"), (PNG, "cover.png", "image/png")]
)
def test_a_worker_finds_the_cover_by_what_it_is(world: World, content: bytes, name: str, media_type: str) -> None:
    upload(world, {"file": a_file(), "cover": a_cover(content, "whatever.gif")})
    found = claimed(world).only("cover")
    assert (found.name, found.type) == (name, media_type)


def test_a_recording_may_be_called_as_the_cover_is(world: World) -> None:
    job = upload(world, {"file": a_file("cover.jpg"), "cover": a_cover()}).json
    assert [found["name"] for found in job["artifacts"]] == ["cover.jpg"]
    assert [name for _, name, _ in kept(world, job["id"])] == ["cover (1).jpg", "cover.jpg"]


def test_a_cover_that_was_not_chosen_in_the_browser_is_none(world: World) -> None:
    job = upload(world, {"file": a_file(), "cover": (io.BytesIO(), "")}).json
    assert [kind for kind, _, _ in kept(world, job["id"])] == ["original"]


def test_nobody_can_fetch_the_cover(world: World) -> None:
    job = upload(world, {"file": a_file(), "cover": a_cover()}).json
    with transaction(world.services.catalog) as session:
        fid = session.scalar(select(ArtifactRow.id).where(ArtifactRow.kind == "cover"))
    assert world.get(f"/download?fid={fid}").status_code == 404
    assert world.get(f"/v1/jobs/{job['id']}/artifacts/cover.jpg").status_code == 404
    links = world.client.post(f"/v1/jobs/{job['id']}/links", json={"artifact": "cover.jpg"}, headers=world.ada)
    assert links.status_code == 404


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({"cover": JPEG}, 422, "file_missing"),
        ({"cover": b"", "file": TALK}, 422, "cover_not_picture"),
        ({"cover": b"GIF89a" + bytes(100), "file": TALK}, 422, "cover_not_picture"),
        ({"file": TALK, "cover": b"<svg/>"}, 422, "cover_not_picture"),
        ({"file": TALK, "cover": JPEG + bytes(LARGEST)}, 413, "cover_too_large"),
        ({"cover": JPEG + bytes(LARGEST), "file": TALK}, 413, "cover_too_large"),
        ({"cover": JPEG, "file": b"I am but text\n"}, 422, "file_not_media"),
        ({"cover": JPEG, "file": b""}, 422, "file_empty"),
        ({"cover": JPEG, "file": TALK, "language": "?"}, 422, "invalid"),
    ],
)
def test_other_forms_leave_nothing(world: World, data: dict[str, Any], status: int, code: str) -> None:
    sent = {name: each if isinstance(each, str) else (io.BytesIO(each), "a name") for name, each in data.items()}
    assert_problem(upload(world, sent), status, code)
    assert world.is_untouched()


def test_two_covers_are_too_many(world: World) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="cover"; filename="a.jpg"\r\n\r\n' + JPEG + b"\r\n"
    body, content_type = part + part + b"--b--\r\n", "multipart/form-data; boundary=b"
    answer = world.client.post("/upload", data=body, content_type=content_type, headers=world.ada)
    assert_problem(answer, 422, "files_too_many")
    assert world.is_untouched()


def test_a_cover_of_just_the_limit_is_taken(world: World) -> None:
    content = JPEG + bytes(LARGEST - len(JPEG))
    assert upload(world, {"file": a_file(), "cover": a_cover(content)}).status_code == 202


def test_recording_and_cover_together_are_as_large_as_an_upload_may_be(world: World) -> None:
    narrow = world.changed(upload_limit=len(TALK) + len(JPEG))
    assert upload(narrow, {"file": a_file(), "cover": a_cover()}).status_code == 202
    for order in (("file", "cover"), ("cover", "file")):
        data = {"file": a_file(), "cover": a_cover(JPEG + b"x")}
        assert_problem(upload(narrow, {name: data[name] for name in order}), 413, "too_large")
    assert len(list(narrow.services.blobs.list())) == 2


def test_a_cover_counts_as_other_bytes_do(world: World) -> None:
    upload(world, {"file": a_file(), "cover": a_cover()})
    with transaction(world.services.catalog) as session:
        owner = session.scalar(select(JobRow.owner))
    assert owner is not None
    use = Accounts(world.services.catalog).use(owner)
    assert (use.stored_bytes, use.day_bytes) == (len(TALK) + len(JPEG),) * 2


def test_the_cover_goes_with_its_job(world: World) -> None:
    job = upload(world, {"file": a_file(), "cover": a_cover()}).json
    assert world.client.delete(f"/v1/jobs/{job['id']}", headers=world.ada).status_code == 204
    eventually(lambda: not list(world.services.blobs.list()))


@pytest.mark.parametrize("away", ["catalog", "store"])
def test_a_form_that_cannot_be_kept_leaves_nothing(world: World, away: str) -> None:
    if away == "catalog":
        Base.metadata.drop_all(world.services.catalog, tables=[Base.metadata.tables["tasks"]])
    else:
        world.folder.rmdir()
    assert_problem(upload(world, {"file": a_file(), "cover": a_cover()}), 503, "unavailable")
    world.folder.mkdir(exist_ok=True)
    eventually(world.is_untouched)


class AwayForCovers(DirectoryBlobs):
    """A store that goes away once it has the recording."""

    def create(self, blob_id: str) -> Any:
        if blob_id.endswith("-cover"):
            raise Unavailable("away")
        return super().create(blob_id)


def test_a_recording_whose_cover_cannot_be_stored_leaves_nothing(world: World) -> None:
    app = create_app(replace(world.services, blobs=AwayForCovers(world.folder)))
    answer = app.test_client().post("/upload", data={"file": a_file(), "cover": a_cover()}, headers=world.ada)
    assert_problem(answer, 503, "unavailable")
    eventually(world.is_untouched)


def test_the_same_recording_with_another_cover_is_made_anew(world: World) -> None:
    first = upload(world, {"file": a_file(), "cover": a_cover(), "transcribe": "no", "waveform": "no"}).json
    finish(world, first["id"])
    same = upload(world, {"file": a_file(), "cover": a_cover(), "transcribe": "no", "waveform": "no"}).json
    assert same["reused"]
    for cover in ({"cover": a_cover(PNG)}, {}):
        other = upload(world, {"file": a_file(), **cover, "transcribe": "no", "waveform": "no"}).json
        assert not other["reused"]
