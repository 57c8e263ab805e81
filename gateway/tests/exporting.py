"""Exports of recordings that are done, and what is told of changes."""

import hashlib
import io
import zipfile
from typing import Any

from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, a_file, finish, upload
from gateway.tests.test_archive import add
from pipeline.exports import LINES, TABLE, ManifestLine, Totals
from pipeline.library import Library, Wanted
from pipeline.work import Artifact, Result, Task


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


def exported(world: World, user: dict[str, str] | None = None, **wanted: Any) -> dict[str, Any]:
    """An export that is done."""
    answer = post(world, user, **wanted)
    assert answer.status_code == 202
    work(world, claimed(world, answer.json["id"]))
    found = world.client.get(f"/v1/exports/{answer.json['id']}", headers=user or world.ada)
    return {**found.get_json()}


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


def changes(world: World, cursor: str | None = None, limit: int = 100) -> dict[str, Any]:
    query = {"limit": limit, **({"cursor": cursor} if cursor else {})}
    answer = world.client.get("/v1/exports/changes", query_string=query, headers=world.ada)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found
