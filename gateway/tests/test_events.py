"""What listeners hear, on a real gunicorn, while jobs change in the catalog behind it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from sqlalchemy import Engine, select

from dev.waiting import eventually
from gateway.events import PAGE, JobsOf
from gateway.tests.conftest import Auth, World
from gateway.tests.exchanges import NOBODYS, TALK, assert_problem
from gateway.tests.servers import Gunicorn, descriptors
from pipeline import database
from pipeline.catalog import DeletionRow, JobRow, TaskRow
from pipeline.jobs import Jobs
from pipeline.library import SETTLE
from pipeline.tasks import Tasks
from pipeline.work import Result, Task


@dataclass(frozen=True)
class Behind:
    """A gunicorn, and the catalog that it shares with workers."""

    url: str
    worker: int
    """Its process."""
    catalog: Engine
    headers: dict[str, str]

    def upload(self, name: str = "talk.mp4") -> str:
        content = name.encode() + TALK[len(name) :]
        answer = httpx.put(f"{self.url}/v1/files/{name}", content=b"\x00" + content, headers=self.headers)
        return str(answer.raise_for_status().json()["id"])

    def post(self, path: str) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", headers=self.headers, timeout=20)

    def claim(self, job_id: str) -> Task:
        with database.transaction(self.catalog) as session:
            found = session.scalar(select(TaskRow.id).where(TaskRow.job_id == job_id, TaskRow.state == "queued"))
        assert found
        task = Tasks(self.catalog).claim(found, "a worker")
        assert task
        return task


@pytest.fixture
def behind(run: Callable[..., AbstractContextManager[Gunicorn]], world: World, tmp_path: Path) -> Iterator[Behind]:
    engine = database.connect(f"sqlite:///{tmp_path}/gunicorn.db")
    with run("--threads=2") as server:
        yield Behind(server.url, server.worker, engine, world.ada)
    engine.dispose()


class Listener:
    """A client of an event stream."""

    def __init__(self, behind: Behind, path: str, last: str | None = None) -> None:
        headers = {**behind.headers, **({"Last-Event-ID": last} if last else {})}
        self._client = httpx.Client(timeout=20)
        self._context = self._client.stream("GET", behind.url + path, headers=headers)
        self.response = self._context.__enter__()
        self._lines = self.response.iter_lines()

    def next(self) -> tuple[str, str, dict[str, Any]]:
        """Id, name and data of the next event."""
        found: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            found[name] = value
            if not line and "data" in found:
                return found["id"], found["event"], json.loads(found["data"])
        raise EOFError

    def close(self) -> None:
        self._context.__exit__(None, None, None)
        self._client.close()


@pytest.fixture
def listen(behind: Behind) -> Iterator[Callable[..., Listener]]:
    open_ones: list[Listener] = []

    def start(path: str, last: str | None = None) -> Listener:
        open_ones.append(Listener(behind, path, last))
        return open_ones[-1]

    yield start
    for listener in open_ones:
        listener.close()


Listen = Callable[..., Listener]


def test_a_job_tells_what_becomes_of_it_until_it_has_ended(behind: Behind, listen: Listen) -> None:
    job_id = behind.upload()
    listener = listen(f"/v1/jobs/{job_id}/events")
    assert listener.response.headers["Content-Type"].startswith("text/event-stream")
    assert listener.response.headers["X-Request-Id"]
    assert listener.next()[2]["state"] == "queued"
    task = behind.claim(job_id)
    assert listener.next()[2]["state"] == "running"
    Tasks(behind.catalog).renew(task, 40, 25.5)
    stage = listener.next()[2]["stages"][0]
    assert (stage["percent"], stage["speed"], stage["seconds_left"]) == (40, 25.5, None)
    Tasks(behind.catalog).reject(task, "No sound.")
    last, name, job = listener.next()
    assert (name, job["state"], job["reason"]) == ("job", "failed", "No sound.")
    with pytest.raises(EOFError):
        listener.next()
    again = {**behind.headers, "Last-Event-ID": last}
    assert httpx.get(f"{behind.url}/v1/jobs/{job_id}/events", headers=again).status_code == 204


def test_cancel_retry_and_deletion_are_told(behind: Behind, listen: Listen) -> None:
    listener = listen("/v1/events")
    job_id = behind.upload()
    assert listener.next()[2]["state"] == "queued"
    assert behind.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    assert listener.next()[2]["state"] == "cancelled"
    assert behind.post(f"/v1/jobs/{job_id}/retry").status_code == 202
    assert listener.next()[2]["state"] == "queued"
    httpx.delete(f"{behind.url}/v1/jobs/{job_id}", headers=behind.headers)
    assert listener.next()[1:] == ("deleted", {"id": job_id})


def test_who_was_cut_off_hears_what_happened_meanwhile(behind: Behind, listen: Listen) -> None:
    first = listen("/v1/events")
    known = behind.upload("a.mp4")
    last, _, job = first.next()
    assert job["id"] == known
    first.close()
    missed = {behind.upload("b.mp4"), behind.upload("c.mp4")}
    httpx.delete(f"{behind.url}/v1/jobs/{known}", headers=behind.headers)
    again = listen("/v1/events", last)
    told = [again.next() for _ in range(3)]
    assert {data["id"] for _, name, data in told if name == "job"} == missed
    assert [data["id"] for _, name, data in told if name == "deleted"] == [known]
    assert len({key for key, _, _ in told}) == 3


def test_nobody_hears_of_others(behind: Behind, world: World, listen: Listen) -> None:
    job_id = behind.upload()
    answer = httpx.get(f"{behind.url}/v1/jobs/{job_id}/events", headers=world.bob)
    assert answer.status_code == 404
    listener = listen("/v1/events")
    httpx.put(f"{behind.url}/v1/files/bobs.mp4", content=b"\x00" + TALK, headers=world.bob).raise_for_status()
    own = behind.upload("own.mp4")
    heard = {listener.next()[2]["id"], listener.next()[2]["id"]}
    assert heard == {job_id, own}


@pytest.mark.parametrize(
    "last", ["x", "2026-01-01", "2026-01-01T00:00:00/x y", "0001-01-01T00:00:00+00:00/x", "0001-01-01T01:00:00+23:00/x"]
)
def test_an_id_that_was_never_given_is_refused(world: World, last: str) -> None:
    answer = world.client.get("/v1/events", headers={**world.ada, "Last-Event-ID": last})
    assert_problem(answer, 422, "invalid")


def test_a_change_that_is_seen_late_is_told_all_the_same_and_none_twice(world: World) -> None:
    """A commit may become visible after a later one: what is told must not hang on the order."""
    jobs = world.services.jobs
    source = JobsOf(jobs, "owner")
    _, cursor, _ = source(None)
    engine = jobs.engine
    moment = database.now()

    def add(job_id: str, age: float) -> None:
        with database.transaction(engine) as session:
            changed = moment - SETTLE * age
            session.add(JobRow(id=job_id * 32, owner="owner", title="t", options={}, changed_at=changed))

    add("a", 0)
    told, cursor, _ = source(cursor)
    add("b", 0.5)
    late, cursor, _ = source(cursor)
    nothing, _, _ = source(cursor)
    assert [event.id[-1] for event in [*told, *late, *nothing]] == ["a", "b"]


@dataclass
class Follower:
    """Looks as a listener's stream does, at jobs that are only rows."""

    engine: Engine
    cursor: str | None

    def look(self) -> list[str]:
        """Ids of the jobs that are told."""
        source = JobsOf(Jobs(self.engine), "owner")
        events, self.cursor, _ = source(self.cursor)
        return [json.loads(event.data)["id"] for event in events]

    def change(self, moments: Mapping[str, datetime]) -> None:
        rows = [JobRow(id=key, owner="owner", title="t", options={}, changed_at=at) for key, at in moments.items()]
        with database.transaction(self.engine) as session:
            session.add_all(rows)


@pytest.fixture
def follower(world: World) -> Follower:
    """Who has heard nothing for an hour."""
    return Follower(world.services.catalog, str(database.now() - timedelta(hours=1)).replace(" ", "T"))


@pytest.mark.parametrize("apart", [timedelta(seconds=1), timedelta(milliseconds=1), timedelta(0)])
@pytest.mark.parametrize("first", [SETTLE * 60, SETTLE / 2])
def test_many_changes_are_told_page_by_page_each_once(follower: Follower, first: timedelta, apart: timedelta) -> None:
    began = database.now() - first
    changes = {f"{number:032}": began + apart * number for number in range(450)}
    follower.change(changes)
    told = [follower.look() for _ in range(4)]
    assert [len(page) for page in told] == [PAGE, PAGE, 50, 0]
    assert [job for page in told for job in page] == list(changes)


def test_what_is_seen_late_is_told_though_later_pages_were(follower: Follower) -> None:
    began = database.now() - SETTLE / 2
    follower.change({f"{number:032}": began + timedelta(milliseconds=number) for number in range(300)})
    first = follower.look()
    follower.change({"late": began})
    rest = follower.look() + follower.look()
    assert (len(first), len(rest)) == (PAGE, 101)
    assert "late" in rest
    assert set(first) & set(rest) == set()


def test_deletions_keep_their_place_among_many_changes(follower: Follower) -> None:
    began = database.now() - timedelta(minutes=30)
    changes = {f"{number:032}": began + timedelta(seconds=number) for number in range(250)}
    follower.change(changes)
    with database.transaction(follower.engine) as session:
        gone = began + timedelta(seconds=220.5)
        session.add(DeletionRow(job_id="gone", owner="owner", at=gone))
    keys = list(changes)
    assert follower.look() == keys[:PAGE]
    assert follower.look() == [*keys[PAGE:221], "gone", *keys[221:]]
    assert follower.look() == []


def held(pid: int) -> int:
    """Connections of clients that the process has open."""
    return sum(target.startswith("socket:") for target in descriptors(pid))


def test_polls_are_answered_when_the_job_has_ended(behind: Behind) -> None:
    job_id, before = behind.upload(), held(behind.worker)
    url = f"{behind.url}/v1/jobs/{job_id}?wait=60"
    with ThreadPoolExecutor(4) as pool:  # twice as many as the gateway has threads
        answers = [pool.submit(httpx.get, url, headers=behind.headers, timeout=70) for _ in range(4)]
        eventually(lambda: held(behind.worker) >= before + 4)
        assert not any(answer.done() for answer in answers)
        Tasks(behind.catalog).reject(behind.claim(job_id), "No sound.")
        ended = [answer.result() for answer in answers]
    assert [answer.json()["state"] for answer in ended] == ["failed"] * 4
    assert ended[0].headers["Content-Type"] == "application/json"


def test_a_poll_is_answered_when_its_time_is_up(behind: Behind) -> None:
    job_id = behind.upload()
    with ThreadPoolExecutor(1) as pool:
        before = held(behind.worker)
        url = f"{behind.url}/v1/jobs/{job_id}?wait=5"
        poll = pool.submit(httpx.get, url, headers=behind.headers, timeout=30)
        eventually(lambda: held(behind.worker) > before)
        Tasks(behind.catalog).renew(behind.claim(job_id), 40)
        answer = poll.result()
    assert (answer.status_code, answer.json()["state"]) == (200, "running"), "as it is at the end, not at the beginning"
    missing = httpx.get(f"{behind.url}/v1/jobs/{NOBODYS}?wait=0.3", headers=behind.headers)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan"])
def test_a_wait_that_cannot_be_is_refused(world: World, wait: str) -> None:
    assert_problem(world.get(f"/v1/jobs/{NOBODYS}?wait={wait}"), 422, "invalid")


def test_what_happens_to_another_job_is_no_news(world: World) -> None:
    jobs, tasks = world.services.jobs, world.services.dispatcher.tasks
    first, second = (
        world.client.put(f"/v1/files/{name}", data=b"\x00" + name.encode(), headers=world.ada).json["id"]
        for name in ("a.mp4", "b.mp4")
    )
    owner = world.services.tokens.check(world.ada["Authorization"].removeprefix("Bearer ")).owner
    before = {job.id: job.changed_at for job in jobs.list(owner)[0]}
    consumer = world.queue.consumer(["extract"])
    claimed = [
        tasks.claim(delivery.message.task_id, "w")
        for delivery in (consumer.receive(1), consumer.receive(1))
        if delivery
    ]
    (task,) = [task for task in claimed if task and task.job_id == second]
    between = {job.id: job.changed_at for job in jobs.list(owner)[0]}
    tasks.finish(task, Result())
    after = {job.id: job.changed_at for job in jobs.list(owner)[0]}
    assert before[first] < between[first] == after[first]
    assert between[second] < after[second]


def test_a_stream_ends_with_its_token(behind: Behind, auth_service: Auth, world: World) -> None:
    claims = jwt.decode(world.ada["Authorization"].split()[1], options={"verify_signature": False})
    key = auth_service.keys.signing
    short = jwt.encode({**claims, "exp": int(time.time()) + 2}, key.private, "EdDSA", headers={"kid": key.id})
    with httpx.stream("GET", f"{behind.url}/v1/events", headers={"Authorization": f"Bearer {short}"}) as answer:
        assert answer.status_code == 200
        assert b"data:" not in b"".join(answer.iter_raw())
