from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dev.waiting import eventually
from gateway.tests.conftest import Auth, World
from gateway.tests.exchanges import NOBODYS, a_file, assert_problem, upload
from pipeline.recording import Level, SoundFacts
from pipeline.work import Artifact, NextTask, Result

MALFORMED = ["x", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "\n", "..", "%00", "é" * 32, "1 OR 1=1", "x" * 5000]


def a_job(world: World) -> str:
    return str(upload(world, {"file": a_file()}).json["id"])


def run(world: World, reason: str | None = None) -> None:
    """Ends the first task, well or for the given reason."""
    tasks = world.services.dispatcher.tasks
    delivery = world.queue.consumer(["extract"]).receive(1)
    assert delivery
    task = tasks.claim(delivery.message.task_id, "a worker")
    assert task
    if reason:
        tasks.reject(task, reason)
    else:
        tasks.finish(task, Result([Artifact("talk.mp3", "audio", "audio/mpeg", 3, "0" * 64, "a-blob")]))


def test_a_job_shows_how_it_goes(world: World) -> None:
    job_id = a_job(world)
    run(world)
    job = world.get(f"/v1/jobs/{job_id}").json
    assert (job["state"], job["percent"], job["reason"]) == ("done", 100, None)
    assert job["finished_at"].endswith("Z")
    assert [artifact["name"] for artifact in job["artifacts"]] == ["talk.mp3", "talk.mp4"]
    (extract,) = [stage for stage in job["stages"] if stage["name"] == "extract"]
    assert (extract["state"], extract["percent"]) == ("done", 100)
    assert extract["seconds"] >= 0


def test_a_failed_job_says_why(world: World) -> None:
    job_id = a_job(world)
    run(world, reason="The video has no sound.")
    job = world.get(f"/v1/jobs/{job_id}").json
    assert (job["state"], job["reason"]) == ("failed", "The video has no sound.")


def test_the_list_goes_from_page_to_page_newest_first(world: World) -> None:
    made = [a_job(world) for _ in range(5)]
    seen, path = [], "/v1/jobs?limit=2"
    while path:
        page = world.get(path).json
        seen += [job["id"] for job in page["items"]]
        path = f"/v1/jobs?limit=2&cursor={page['next']}" if page["next"] else ""
    assert seen == made[::-1]


def test_nobody_sees_the_jobs_of_others(world: World) -> None:
    a_job(world)
    assert world.client.get("/v1/jobs", headers=world.bob).json == {"items": [], "next": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=", "cursor=x", "cursor=%00", "cursor=AAAA"]
)
def test_a_wrong_limit_or_cursor_is_refused(world: World, query: str) -> None:
    assert_problem(world.get(f"/v1/jobs?{query}"), 422, "invalid")


def test_a_cancelled_job_ends(world: World) -> None:
    job_id = a_job(world)
    answer = world.client.post(f"/v1/jobs/{job_id}/cancel", headers=world.ada)
    assert (answer.status_code, answer.json["id"], answer.json["state"]) == (200, job_id, "cancelled")
    assert world.get(f"/v1/jobs/{job_id}").json == answer.json
    again = world.client.post(f"/v1/jobs/{job_id}/cancel", headers=world.ada)
    assert again.json == answer.json


def test_who_hears_of_a_job_that_runs_again_counts_as_of_an_upload(world: World) -> None:
    job_id = upload(world, {"file": a_file(), "notify": "bob@example.org,carl@example.org"}).json["id"]
    narrow, path = world.changed(quota_day_mails=3), f"/v1/jobs/{job_id}/retry"
    assert world.client.post(path, headers=world.ada).status_code == 409
    run(world, "No sound.")
    answer = narrow.client.post(path, headers=world.ada)
    assert_problem(answer, 429, "quota_mails")
    assert (answer.json["limit"], answer.json["used"], answer.json["asked"]) == (3, 2, 2)
    assert world.get(f"/v1/jobs/{job_id}").json["state"] == "failed"
    assert world.client.post(path, headers=world.ada).status_code == 202
    assert world.get("/v1/account").json["use"]["day_mails"] == 4


def test_a_deleted_job_is_gone_with_its_files(world: World) -> None:
    job_id = a_job(world)
    answer = world.client.delete(f"/v1/jobs/{job_id}", headers=world.ada)
    assert (answer.status_code, answer.data) == (204, b"")
    assert world.job_ids() == []
    eventually(lambda: not list(world.services.blobs.list()))
    assert_problem(world.get(f"/v1/jobs/{job_id}"), 404, "not_found")
    assert_problem(world.client.delete(f"/v1/jobs/{job_id}", headers=world.ada), 404, "not_found")


def test_a_job_can_be_deleted_while_the_blob_store_is_away(world: World) -> None:
    job_id = a_job(world)
    world.folder.rename(world.folder.with_name("away"))
    assert world.client.delete(f"/v1/jobs/{job_id}", headers=world.ada).status_code == 204
    assert world.job_ids() == []


@pytest.mark.parametrize("job_id", [NOBODYS, *MALFORMED])
def test_unknown_and_malformed_ids_are_not_found(world: World, job_id: str) -> None:
    for method, path in (
        ("GET", f"/v1/jobs/{job_id}"),
        ("DELETE", f"/v1/jobs/{job_id}"),
        ("POST", f"/v1/jobs/{job_id}/cancel"),
        ("GET", f"/v1/jobs/{job_id}/artifacts/talk.mp3"),
        ("GET", f"/download?fid={job_id}"),
    ):
        answer = world.client.open(path, method=method, headers=world.ada)
        assert answer.status_code in {404, 308} if job_id == ".." else answer.status_code == 404, (method, path)
    assert world.is_untouched()


def test_ids_of_others_are_not_found_and_nothing_happens_to_them(world: World) -> None:
    job_id = a_job(world)
    before = world.get(f"/v1/jobs/{job_id}").json
    fid = before["artifacts"][0]["fid"]
    for method, path in (
        ("GET", f"/v1/jobs/{job_id}"),
        ("DELETE", f"/v1/jobs/{job_id}"),
        ("POST", f"/v1/jobs/{job_id}/cancel"),
        ("GET", f"/v1/jobs/{job_id}/artifacts/talk.mp4"),
        ("GET", f"/download?fid={fid}"),
    ):
        assert_problem(world.client.open(path, method=method, headers=world.bob), 404, "not_found")
    assert world.get(f"/v1/jobs/{job_id}").json == before


def test_what_is_known_of_the_sound_is_told(world: World) -> None:
    job_id = a_job(world)
    tasks = world.services.dispatcher.tasks
    delivery = world.queue.consumer(["extract"]).receive(1)
    assert delivery
    extract = tasks.claim(delivery.message.task_id, "worker")
    assert extract
    (message,) = tasks.finish(extract, Result(next=[NextTask("encode")], seconds=90))
    encode = tasks.claim(message.task_id, "worker")
    assert encode
    tasks.renew(encode, 50, 30)
    stage = next(stage for stage in world.get(f"/v1/jobs/{job_id}").json["stages"] if stage["name"] == "encode")
    assert (stage["percent"], stage["speed"], stage["seconds_left"]) == (50, 30, 1.5)
    facts = SoundFacts(
        seconds=90.01,
        codec="mp3",
        bit_rate=96000,
        channels=2,
        sample_rate=44100,
        gain=2.5,
        measured=Level(integrated=None),
    )
    mp3 = Artifact("talk.mp3", "audio", "audio/mpeg", 3, "0" * 64, "mp3", facts=facts.model_dump(mode="json"))
    picture = Artifact("talk.waveform.png", "waveform", "image/png", 3, "0" * 64, "png")
    tasks.finish(encode, Result([mp3, picture]))
    found = {made["name"]: (made["kind"], made["facts"]) for made in world.get(f"/v1/jobs/{job_id}").json["artifacts"]}
    assert found == {
        "talk.mp3": ("audio", facts.model_dump(mode="json")),
        "talk.mp4": ("original", None),
        "talk.waveform.png": ("waveform", None),
    }


PRIVATE = [
    ("POST", "/upload"),
    ("GET", "/v1/jobs"),
    ("GET", f"/v1/jobs/{NOBODYS}"),
    ("DELETE", f"/v1/jobs/{NOBODYS}"),
    ("POST", f"/v1/jobs/{NOBODYS}/cancel"),
    ("GET", f"/v1/jobs/{NOBODYS}/artifacts/talk.mp3"),
    ("GET", f"/download?fid={NOBODYS}"),
]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token abc", "abc", "Basic \xff"])
def test_without_a_token_nothing_is_answered(world: World, header: str) -> None:
    for method, path in PRIVATE:
        answer = world.client.open(path, method=method, headers={"Authorization": header} if header else {})
        assert_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert world.is_untouched()


@pytest.mark.parametrize("kind", ["expired", "wrongly signed", "changed", "nonsense"])
def test_a_bad_token_is_refused(world: World, auth_service: Auth, kind: str) -> None:
    good = world.ada["Authorization"].split()[1]
    claims, key = jwt.decode(good, options={"verify_signature": False}), auth_service.keys.signing
    header, body, signature = good.split(".")
    token = {
        "expired": jwt.encode(
            claims | {"exp": datetime(2020, 1, 1, tzinfo=UTC)}, key.private, "EdDSA", headers={"kid": key.id}
        ),
        "wrongly signed": jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": key.id}),
        "changed": ".".join([header, body[:-4] + "AAAA", signature]),
        "nonsense": "nonsense",
    }[kind]
    for method, path in PRIVATE:
        answer = world.client.open(path, method=method, headers={"Authorization": f"Bearer {token}"})
        assert_problem(answer, 401, "token_invalid")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert world.is_untouched()


METHODS = [
    ("GET", "/login", {"POST"}),
    ("GET", "/upload", {"POST"}),
    ("PUT", "/upload", {"POST"}),
    ("POST", "/download", {"GET", "HEAD"}),
    ("PATCH", "/v1/jobs", {"GET", "HEAD", "POST"}),
    ("PUT", f"/v1/jobs/{NOBODYS}", {"GET", "HEAD", "DELETE"}),
    ("GET", f"/v1/jobs/{NOBODYS}/cancel", {"POST"}),
    ("DELETE", "/v1/openapi.json", {"GET", "HEAD"}),
    ("POST", "/v1/links/x", {"GET", "HEAD"}),
    ("BREW", "/healthz", {"GET", "HEAD"}),
    ("POST", "/", {"GET", "HEAD"}),
]


def test_methods_that_are_not_there_are_named(world: World) -> None:
    for method, path, allowed in METHODS:
        answer = world.client.open(path, method=method, headers=world.ada)
        assert_problem(answer, 405, "method_not_allowed")
        assert {method.strip() for method in answer.headers["Allow"].split(",")} - {"OPTIONS"} == allowed


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/nothing", "/v1/jobs/", "/static/x", "/%00", "/..%2f..%2fetc/passwd"]
)
def test_paths_that_are_not_there_are_a_problem(world: World, path: str) -> None:
    answer = world.client.get(path)
    assert answer.status_code in {404, 308}
    if answer.status_code == 404:
        assert_problem(answer, 404, "not_found")


def test_health_readiness_and_metrics_need_no_token(world: World) -> None:
    assert world.client.get("/healthz").status_code == 200
    assert world.client.get("/readyz").json == {"status": "ok", "checks": {"catalog": "ok", "blobs": "ok"}}
    world.client.get("/v1/jobs", buffered=True)
    assert 'route="/v1/jobs"' in world.client.get("/metrics").text


def test_a_gateway_without_its_blobs_is_not_ready(world: World) -> None:
    world.folder.rmdir()
    answer = world.client.get("/readyz")
    assert (answer.status_code, answer.json["checks"]) == (503, {"catalog": "ok", "blobs": "away"})
