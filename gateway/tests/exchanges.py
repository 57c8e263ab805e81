"""What tests send to the gateway, and what they expect of its answers."""

import io
from typing import Any

from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.servers import ROOT
from pipeline.work import Artifact, NextTask, Result

NOBODYS = "0" * 32
"""An id of the right form that nothing has."""
TALK = (ROOT / "tests/media/talk.mp4").read_bytes()[:200_000]
File = tuple[io.BytesIO, str] | tuple[io.BytesIO, str, str]


def a_file(name: str = "talk.mp4", content: bytes = TALK) -> File:
    return io.BytesIO(content), name


def upload(world: World, data: dict[str, Any], **options: Any) -> TestResponse:
    """A form as browsers and curl send it: also an empty file has a line of its own."""
    body = b"".join(_part(field, value) for field, value in data.items()) + b"--spool--\r\n"
    content_type = "multipart/form-data; boundary=spool"
    return world.client.post("/upload", data=body, content_type=content_type, headers=world.ada, **options)


def _part(field: str, value: str | File) -> bytes:
    head = f'--spool\r\nContent-Disposition: form-data; name="{field}"'
    if isinstance(value, str):
        return f"{head}\r\n\r\n{value}\r\n".encode()
    file, name = value[:2]
    media_type = value[2] if len(value) == 3 else "application/octet-stream"
    return f'{head}; filename="{name}"\r\nContent-Type: {media_type}\r\n\r\n'.encode() + file.read() + b"\r\n"


def assert_problem(answer: TestResponse, status: int, code: str) -> None:
    """A problem as RFC 9457 has it, which tells nothing of the inside."""
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    for secret in ("Traceback", "/tmp", "sqlite", ".py"):
        assert secret not in answer.text


class Unread(io.BytesIO):
    """A body that nobody may read."""

    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError("the body was read")

    readinto = read  # type: ignore[assignment]


def finish(world: World, job_id: str) -> None:
    """Works the job off, to an MP3 of three letters."""
    tasks, store = world.services.dispatcher.tasks, world.services.blobs
    consumer = world.queue.consumer(["extract", "encode"])
    for kind in ("extract", "encode"):
        delivery = consumer.receive(1)
        assert delivery
        task = tasks.claim(delivery.message.task_id, "a worker")
        assert task
        assert (task.kind, task.job_id) == (kind, job_id)
        if kind == "extract":
            world.services.dispatcher.send(tasks.finish(task, Result(next=[NextTask("encode")])))
        else:
            with store.create(task.blob_id("audio")) as blob:
                blob.write(b"mp3")
            made = Artifact("talk.mp3", "audio", "audio/mpeg", 3, "0" * 64, task.blob_id("audio"))
            tasks.finish(task, Result([made]))
