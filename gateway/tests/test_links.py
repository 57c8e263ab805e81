"""Links that the owner of a job gives to others, and what those see."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from zipfile import ZipFile

import httpx
import jwt
import pytest
from itsdangerous import URLSafeSerializer
from pydantic import SecretStr
from werkzeug.test import TestResponse

from gateway.downloads import send
from gateway.links import counted
from gateway.tests.conftest import ADA, LINK_KEY, World
from gateway.tests.exchanges import NOBODYS, TALK, a_file, assert_problem, finish, upload
from gateway.tests.servers import serve
from gateway.tests.test_downloads import open_files
from pipeline.database import now
from pipeline.links import Links
from pipeline.problems import Problem

Ask = Callable[..., TestResponse]


@pytest.fixture
def job(world: World) -> dict[str, Any]:
    """One of Ada's, that has ended."""
    made = upload(world, {"file": a_file("A talk.mp4")}).json
    finish(world, made["id"])
    return dict(world.get(f"/v1/jobs/{made['id']}").get_json())


@pytest.fixture
def make(world: World, job: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Makes a link as Ada."""

    def link(**asked: Any) -> dict[str, Any]:
        answer = world.client.post(f"/v1/jobs/{job['id']}/links", json=asked, headers=world.ada)
        assert answer.status_code == 201
        return dict(answer.get_json())

    return link


@pytest.fixture
def ask(world: World) -> Ask:
    """What somebody without a token gets."""

    def get(path: str, method: str = "GET", **headers: str) -> TestResponse:
        return world.client.open(path, method=method, headers=headers, buffered=True)

    return get


def used(world: World, job: dict[str, Any]) -> list[int]:
    return [link["used"] for link in world.get(f"/v1/jobs/{job['id']}/links").json["items"]]


def test_a_link_to_one_file_opens_it_for_everybody(world: World, make: Any, ask: Ask) -> None:
    link = make(artifact="A talk.mp4")
    answer = ask(link["url"])
    assert (answer.status_code, answer.data, answer.content_type) == (200, TALK, "video/mp4")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert answer.headers["Cache-Control"] == "private"
    assert (link["artifact"], link["downloads"], link["used"]) == ("A talk.mp4", None, 0)
    ends = datetime.fromisoformat(link["expires_at"]) - now()
    assert 3590 < ends.total_seconds() <= world.services.links.seconds


def test_a_link_to_a_job_shows_its_files_and_opens_each(job: dict[str, Any], make: Any, ask: Ask) -> None:
    link = make(seconds=600)
    answer = ask(link["url"])
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "private, no-store"
    shared = answer.get_json()
    assert set(shared) == {"title", "files", "archive", "expires_at"}
    assert (shared["title"], shared["expires_at"]) == ("A talk.mp4", link["expires_at"])
    assert {tuple(file) for file in shared["files"]} == {("name", "type", "bytes", "href")}
    assert [file["name"] for file in shared["files"]] == [made["name"] for made in job["artifacts"]]
    contents = {file["name"]: ask(file["href"]).data for file in shared["files"]}
    assert contents == {"A talk.mp4": TALK, "talk.mp3": b"mp3"}
    archive = ask(shared["archive"])
    assert archive.headers["X-Robots-Tag"] == "noindex"
    with ZipFile(io.BytesIO(archive.data)) as files:
        assert {name: files.read(name) for name in files.namelist()} == contents


def test_a_link_tells_nothing_of_whose_it_is(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    owner = jwt.decode(world.ada["Authorization"].split()[1], options={"verify_signature": False})["sub"]
    secrets = [owner, ADA, job["id"], "notify", "sha256"]
    for link in (make(artifact="talk.mp3"), make()):
        token = link["url"].rpartition("/")[2]
        paths = [link["url"], f"{link['url']}/artifacts/talk.mp3", f"{link['url']}/archive", f"{link['url']}/nothing"]
        texts = [f"{answer.headers}{answer.data.decode(errors='replace')}" for answer in map(ask, paths)]
        hidden = URLSafeSerializer("").load_payload(token[9:].rpartition(".")[0].encode())
        for text in (*texts, str(hidden), token):
            assert [secret for secret in secrets if secret in text] == []


def test_a_link_opens_what_it_is_for_and_nothing_else(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    other = upload(world, {"file": a_file("another.mp4", TALK[:-1])}).json
    link = make(artifact="talk.mp3")["url"]
    for path in ("/artifacts/talk.mp3", "/artifacts/A%20talk.mp4", "/archive"):
        assert_problem(ask(f"{link}{path}"), 404, "not_found")
    assert_problem(ask(f"{make()['url']}/artifacts/another.mp4"), 404, "not_found")
    sign = world.services.links
    for made_up in (
        sign.sign(job["id"]),
        sign.sign(make()["id"]),
        *(row_token(world, made["fid"]) for made in (job["artifacts"][0], other["artifacts"][0])),
        row_token(world, job["id"]),
    ):
        for path in ("", "/archive", "/artifacts/talk.mp3"):
            assert_problem(ask(f"/v1/links/{made_up}{path}"), 404, "not_found")
    mailed = sign.sign(job["artifacts"][0]["fid"])
    assert_problem(ask(f"/v1/links/{mailed}/archive"), 404, "not_found")


def row_token(world: World, row_id: str) -> str:
    return world.services.links.sign_row(row_id, now() + timedelta(hours=1))


def test_a_link_that_was_changed_or_signed_by_others_is_not_found(world: World, make: Any, ask: Ask) -> None:
    link = make()
    token = link["url"].rpartition("/")[2]
    kid, _, signed = token.partition(".")
    payload, _, signature = signed.rpartition(".")
    foreign = Links(["y" * 32], 60).sign_row(link["id"], now() + timedelta(hours=1))
    for bad in (
        foreign,
        f"{kid}.{foreign.partition('.')[2]}",
        f"{foreign[:8]}.{payload}.{signature}",
        token[:-3],
        f"{kid}.{payload}",
        f"{kid}.x{payload}.{signature}",
        link["id"],
    ):
        for path in ("", "/archive", "/artifacts/talk.mp3"):
            answer = ask(f"/v1/links/{bad}{path}")
            assert_problem(answer, 404, "not_found")
            assert "no-store" in answer.headers["Cache-Control"]


def test_links_outlive_a_new_key(world: World, make: Any) -> None:
    link = make(artifact="talk.mp3")
    rotated = world.changed(link_keys=SecretStr(f"{LINK_KEY} {'n' * 32}")).client
    assert rotated.get(link["url"], buffered=True).data == b"mp3"
    replaced = world.changed(link_keys=SecretStr("n" * 32)).client
    assert_problem(replaced.get(link["url"]), 404, "not_found")


def test_a_link_is_a_whole_address_where_the_server_knows_its_own(world: World, job: dict[str, Any], make: Any) -> None:
    assert make()["url"].startswith("/v1/links/")
    known = world.changed(public_url="https://spool.example.org/").client
    answer = known.post(f"/v1/jobs/{job['id']}/links", json={}, headers=world.ada)
    assert answer.json["url"].startswith("https://spool.example.org/v1/links/")


def test_an_owner_sees_all_links_and_revokes_one(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    first, second = make(artifact="talk.mp3", downloads=2), make()
    path = f"/v1/jobs/{job['id']}/links"
    assert world.get(path).json == {"items": [first, second]}
    answer = world.client.delete(f"{path}/{first['id']}", headers=world.ada)
    assert (answer.status_code, answer.data) == (204, b"")
    assert_problem(ask(first["url"]), 404, "not_found")
    assert ask(second["url"]).status_code == 200
    assert world.get(path).json == {"items": [second]}
    for link in (first["id"], NOBODYS, "x", "%00", "é" * 32):
        assert_problem(world.client.delete(f"{path}/{link}", headers=world.ada), 404, "not_found")


def test_an_owner_revokes_all_links_and_those_in_mails_that_were_sent(
    world: World, job: dict[str, Any], make: Any, ask: Ask
) -> None:
    def mailed() -> str:
        return f"/v1/links/{world.services.links.sign(job['artifacts'][0]['fid'])}"

    path, gone = f"/v1/jobs/{job['id']}/links", [make()["url"], make(artifact="talk.mp3")["url"], mailed()]
    assert [ask(url).status_code for url in gone] == [200] * 3
    answer = world.client.delete(path, headers=world.ada)
    assert (answer.status_code, answer.data) == (204, b"")
    for url in gone:
        assert_problem(ask(url), 404, "not_found")
    assert world.get(path).json == {"items": []}
    assert [ask(url).status_code for url in (make()["url"], mailed())] == [200] * 2


def test_links_of_others_are_neither_made_seen_nor_revoked(world: World, job: dict[str, Any], make: Any) -> None:
    link = make()
    path = f"/v1/jobs/{job['id']}/links"
    for method, target in (("POST", path), ("GET", path), ("DELETE", path), ("DELETE", f"{path}/{link['id']}")):
        body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        assert_problem(world.client.open(target, method=method, headers=world.bob, **body), 404, "not_found")
        assert_problem(world.client.open(target, method=method, **body), 401, "unauthorized")
        assert_problem(
            world.client.open(target.replace(job["id"], NOBODYS), method=method, headers=world.ada, **body),
            404,
            "not_found",
        )
    assert world.get(path).json == {"items": [link]}


@pytest.mark.parametrize(
    "asked",
    [
        {"seconds": 0},
        {"seconds": -5},
        {"seconds": 10**10},
        {"seconds": "soon"},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "9999-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00"},
        {"seconds": 60, "expires_at": "2999-01-01T00:00:00Z"},
        {"downloads": 0},
        {"downloads": 10**10},
        {"artefact": "talk.mp3"},
        {"artifact": 5},
        [],
    ],
)
def test_a_link_that_makes_no_sense_is_refused(world: World, job: dict[str, Any], asked: Any) -> None:
    answer = world.client.post(f"/v1/jobs/{job['id']}/links", json=asked, headers=world.ada)
    assert_problem(answer, 422, "invalid")
    assert used(world, job) == []


def test_what_is_not_json_makes_no_link(world: World, job: dict[str, Any]) -> None:
    path = f"/v1/jobs/{job['id']}/links"
    assert_problem(world.client.post(path, data='{"artifact": "talk.mp3"}', headers=world.ada), 422, "invalid")
    assert_problem(world.client.post(path, headers=world.ada), 422, "invalid")


def test_there_is_no_link_to_a_file_that_the_job_does_not_have(world: World, job: dict[str, Any]) -> None:
    answer = world.client.post(f"/v1/jobs/{job['id']}/links", json={"artifact": "x.mp3"}, headers=world.ada)
    assert_problem(answer, 404, "not_found")


def test_a_link_ends_when_its_owner_said(world: World, make: Any, ask: Ask) -> None:
    end = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    link = make(expires_at=end.isoformat())
    assert datetime.fromisoformat(link["expires_at"]) == end
    for path in ("", "/archive", "/artifacts/talk.mp3"):
        old = world.services.links.sign_row(link["id"], now() - timedelta(seconds=5))
        assert_problem(ask(f"/v1/links/{old}{path}"), 410, "link_expired")


def test_what_was_deleted_is_behind_no_link(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    paths = [make(artifact="talk.mp3")["url"], make()["url"]]
    paths.append(f"{paths[1]}/archive")
    world.client.delete(f"/v1/jobs/{job['id']}", headers=world.ada)
    for path in paths:
        assert_problem(ask(path), 404, "not_found")


def test_a_file_comes_in_parts_where_nothing_is_counted(make: Any, ask: Ask) -> None:
    answer = ask(make(artifact="A talk.mp4")["url"], Range="bytes=1-2")
    assert (answer.status_code, answer.data) == (206, TALK[1:3])


def test_only_whole_downloads_count(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    url = make(artifact="A talk.mp4", downloads=2)["url"]
    etag = ask(url, "HEAD").headers["ETag"]
    assert ask(url, **{"If-None-Match": etag}).status_code == 304
    assert_problem(ask(url, **{"If-Match": '"x"'}), 412, "precondition_failed")
    assert used(world, job) == [0]
    for asked in ("bytes=0-1", "bytes=999999999-"):
        answer = ask(url, Range=asked)
        assert (answer.status_code, answer.data) == (200, TALK)
    assert used(world, job) == [2]
    for method in ("GET", "HEAD"):
        assert ask(url, method).status_code == 410
    assert_problem(ask(url, **{"If-None-Match": etag}), 410, "link_used_up")


def test_each_file_and_each_archive_of_a_job_counts(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    url = make(downloads=2)["url"]
    for _ in range(3):
        shared = ask(url).json
    assert ask(f"{url}/archive", "HEAD").status_code == 200
    assert used(world, job) == [0]
    assert ask(shared["archive"]).status_code == 200
    assert ask(shared["files"][0]["href"], Range="bytes=0-1").status_code == 200
    for path in (url, shared["archive"], shared["files"][1]["href"]):
        assert_problem(ask(path), 410, "link_used_up")
    assert used(world, job) == [2]


def test_what_cannot_be_sent_does_not_count(world: World, job: dict[str, Any], make: Any, ask: Ask) -> None:
    to_file, to_job = make(artifact="talk.mp3", downloads=1)["url"], make(downloads=1)["url"]
    for blob in list(world.services.blobs.list()):
        world.services.blobs.delete(blob.id)
    for path in (to_file, f"{to_job}/archive", f"{to_job}/artifacts/talk.mp3"):
        assert_problem(ask(path), 404, "not_found")
    assert used(world, job) == [0, 0]


def test_of_two_at_once_one_gets_the_only_download(world: World, make: Any) -> None:
    url, start = make(artifact="A talk.mp4", downloads=1)["url"], Barrier(4)

    def fetch(address: str) -> tuple[int, int]:
        start.wait(10)
        answer = httpx.get(f"{address}{url}", timeout=20)
        return answer.status_code, len(answer.content) if answer.is_success else 0

    with serve(world.app) as address, ThreadPoolExecutor(4) as threads:
        answers = sorted(threads.map(fetch, [address] * 4))
    assert answers == [(200, len(TALK)), (410, 0), (410, 0), (410, 0)]


def test_who_comes_second_gets_nothing_and_leaves_nothing_open(world: World, make: Any) -> None:
    shares = world.services.shares
    share = shares.find(make(artifact="A talk.mp4", downloads=1)["id"])
    assert share
    assert share.artifact_id
    assert shares.use(share.id)
    with world.app.test_request_context():
        response = send(world.services.jobs.artifact(share.owner, share.artifact_id), whole=True)
        with pytest.raises(Problem, match="link_used_up"):
            counted(share, response)
    assert open_files() == 0
