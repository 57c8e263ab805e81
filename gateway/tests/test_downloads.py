import hashlib
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from gateway.tests.conftest import LINK_KEY, World
from gateway.tests.exchanges import NOBODYS, TALK, a_file, assert_problem, upload
from pipeline.links import Links

ETAG = f'"{hashlib.sha256(TALK).hexdigest()}"'


@pytest.fixture(params=["by id", "by name", "by link"])
def path(request: pytest.FixtureRequest, world: World) -> str:
    """Each way to the uploaded file."""
    artifact = upload(world, {"file": a_file()}).json["artifacts"][0]
    links = {
        "by id": f"/download?fid={artifact['fid']}",
        "by name": artifact["href"],
        "by link": f"/v1/links/{world.services.links.sign(artifact['fid'])}",
    }
    return links[request.param]


def open_files() -> int:
    """How many blobs this process has open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum("/blobs/" in str(link.readlink()) for link in links)


def test_a_file_comes_with_all_that_describes_it(world: World, path: str) -> None:
    answer = world.get(path)
    assert (answer.status_code, answer.data) == (200, TALK)
    assert answer.headers["Content-Length"] == str(len(TALK))
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private"
    assert parse_options_header(answer.headers["Content-Disposition"]) == ("attachment", {"filename": "talk.mp4"})
    assert open_files() == 0


def test_head_says_the_same_without_the_bytes(world: World, path: str) -> None:
    answer = world.client.head(path, headers=world.ada, buffered=True)
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", str(len(TALK)))
    assert answer.headers["ETag"] == ETAG
    assert open_files() == 0


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-", 100, len(TALK)),
        ("bytes=-5", len(TALK) - 5, len(TALK)),
        ("bytes=0-99999999", 0, len(TALK)),
    ],
)
def test_a_part_can_be_asked_for(world: World, path: str, asked: str, start: int, stop: int) -> None:
    answer = world.get(path, Range=asked)
    assert (answer.status_code, answer.data) == (206, TALK[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(TALK)}"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["ETag"] == ETAG
    assert open_files() == 0


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "items=0-1", "bytes=x", "nonsense", "bytes=5-1", ""])
def test_other_ranges_are_ignored(world: World, path: str, asked: str) -> None:
    answer = world.get(path, Range=asked)
    assert (answer.status_code, answer.data) == (200, TALK)
    assert open_files() == 0


def test_a_range_behind_the_end_is_refused(world: World, path: str) -> None:
    answer = world.get(path, Range=f"bytes={len(TALK)}-")
    assert_problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(TALK)}"
    assert open_files() == 0


def test_a_file_that_the_client_has_is_not_sent_again(world: World, path: str) -> None:
    answer = world.get(path, **{"If-None-Match": ETAG})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", ETAG)
    assert world.get(path, **{"If-None-Match": '"another"'}).data == TALK
    assert open_files() == 0


def test_a_range_of_another_version_is_answered_with_the_whole(world: World, path: str) -> None:
    assert world.get(path, **{"Range": "bytes=0-1", "If-Range": ETAG}).data == TALK[:2]
    assert world.get(path, **{"Range": "bytes=0-1", "If-Range": '"another"'}).data == TALK
    assert open_files() == 0


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a b.mp4", "a b.mp4"),
        ("Gespräch.mp4", "Gesprach.mp4"),
        ("Интервью.mp4", "recording.mp4"),
        ("🎉.mp4", "recording.mp4"),
        ("50% & more; x=y.mp4", "50% & more; x=y.mp4"),
    ],
)
def test_every_client_gets_a_name_it_can_use(world: World, name: str, plain: str) -> None:
    artifact = upload(world, {"file": a_file(name)}).json["artifacts"][0]
    header = world.get(artifact["href"]).headers["Content-Disposition"]
    assert header.startswith(f'attachment; filename="{plain}"; filename*=')
    assert parse_options_header(header)[1]["filename"] == name


def test_a_file_whose_blob_is_gone_is_not_found(world: World, path: str) -> None:
    for blob in list(world.services.blobs.list()):
        world.services.blobs.delete(blob.id)
    assert_problem(world.get(path), 404, "not_found")


def test_a_file_that_cannot_be_reached_may_be_asked_for_again(world: World, path: str) -> None:
    world.folder.rename(world.folder.with_name("away"))
    answer = world.get(path)
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("query", ["", "?fid=", "?id=x"])
def test_a_download_needs_an_id(world: World, query: str) -> None:
    assert world.get(f"/download{query}").status_code in {404, 422}


@pytest.mark.parametrize("name", ["another.mp4", "TALK.MP4", "..", "x" * 5000, "%F0%9F%8E%89", "%00", "%ff"])
def test_a_name_that_the_job_does_not_have_is_not_found(world: World, name: str) -> None:
    job_id = upload(world, {"file": a_file()}).json["id"]
    assert_problem(world.get(f"/v1/jobs/{job_id}/artifacts/{name}"), 404, "not_found")


@pytest.fixture
def stranger(world: World) -> FlaskClient:
    """Somebody without a token."""
    return world.client


def test_a_link_opens_without_a_token_and_tells_nobody_where_it_was(world: World, stranger: FlaskClient) -> None:
    artifact = upload(world, {"file": a_file()}).json["artifacts"][0]
    answer = stranger.get(f"/v1/links/{world.services.links.sign(artifact['fid'])}", buffered=True)
    assert (answer.status_code, answer.data) == (200, TALK)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "private"


def test_an_old_link_has_expired(world: World, stranger: FlaskClient) -> None:
    fid = upload(world, {"file": a_file()}).json["artifacts"][0]["fid"]
    assert_problem(stranger.get(f"/v1/links/{Links([LINK_KEY], -10).sign(fid)}"), 410, "link_expired")


def test_a_link_that_was_changed_or_signed_by_others_is_not_found(world: World, stranger: FlaskClient) -> None:
    fid = upload(world, {"file": a_file()}).json["artifacts"][0]["fid"]
    good = world.services.links.sign(fid)
    for token in (good[:-2] + "xx", "x" + good, Links(["y" * 32], 60).sign(fid), "nonsense", "a.b.c", "%00", fid):
        assert_problem(stranger.get(f"/v1/links/{token}"), 404, "not_found")


def test_a_link_to_what_was_deleted_is_not_found(world: World, stranger: FlaskClient) -> None:
    job = upload(world, {"file": a_file()}).json
    token = world.services.links.sign(job["artifacts"][0]["fid"])
    world.client.delete(f"/v1/jobs/{job['id']}", headers=world.ada)
    assert_problem(stranger.get(f"/v1/links/{token}"), 404, "not_found")
    assert_problem(stranger.get(f"/v1/links/{world.services.links.sign(NOBODYS)}"), 404, "not_found")
