"""A client of tus for tests, and what they look at behind the gateway."""

import base64
import hashlib
import io
from typing import Any

from sqlalchemy import select, update
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK
from gateway.tus import VERSION
from pipeline.catalog import UploadRow
from pipeline.database import transaction

BYTES = "application/offset+octet-stream"
SHA256 = hashlib.sha256(TALK).hexdigest()


class Tus:
    """A client that says exactly what a test wants."""

    def __init__(self, world: World, app: Any = None, who: dict[str, str] | None = None) -> None:
        self.app, self.who = app or world.app, world.ada if who is None else who

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        given = {"Tus-Resumable": VERSION, **named} if "Tus_Resumable" not in headers else named
        answer = self.app.test_client().open(path, method=method, headers={**self.who, **given}, data=body)
        assert answer.headers["Tus-Resumable"] == VERSION
        return answer

    def create(self, length: int | None = len(TALK), **headers: str | None) -> str:
        size = {"Upload_Length": str(length)} if length is not None else {"Upload_Defer_Length": "1"}
        answer = self.send("POST", "/v1/uploads", None, **size, **headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, path: str, offset: int, body: bytes, **headers: str | None) -> TestResponse:
        given = {"Upload_Offset": str(offset), "Content_Type": BYTES, **headers}
        return self.send("PATCH", path, body, **given)

    def patch_chunked(self, path: str, offset: int, body: bytes) -> TestResponse:
        """As `patch`, without saying how much comes."""
        given = {"Tus-Resumable": VERSION, "Upload-Offset": str(offset), "Transfer-Encoding": "chunked"}
        return self.app.test_client().patch(
            path,
            input_stream=io.BytesIO(body),
            headers={**self.who, **given},
            content_type=BYTES,
            environ_overrides={"wsgi.input_terminated": True},
        )

    def head(self, path: str) -> TestResponse:
        return self.send("HEAD", path)

    def offset(self, path: str) -> int:
        return int(self.head(path).headers["Upload-Offset"])

    def part(self, content: bytes) -> str:
        path = self.create(len(content), Upload_Concat="partial")
        assert self.patch(path, 0, content).status_code == 204
        return path


def begun(world: World, method: str, path: str, length: int, *more: str) -> bytes:
    """The start of a request of Ada's that announces a body of `length` bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: {world.ada['Authorization']}",
        f"Tus-Resumable: {VERSION}",
        f"Content-Type: {BYTES}",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def metadata(**texts: str) -> str:
    return ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in texts.items())


def checksum(content: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def set_row(world: World, path: str, **values: Any) -> None:
    with transaction(world.services.jobs.engine) as session:
        session.execute(update(UploadRow).where(UploadRow.id == id_of(path)).values(**values))


def upload_ids(world: World) -> set[str]:
    with transaction(world.services.jobs.engine) as session:
        return set(session.scalars(select(UploadRow.id)))


def nothing_is_kept(world: World) -> bool:
    return world.is_untouched() and not upload_ids(world)


def assert_talk(world: World, job_id: str) -> None:
    """The job's original is TALK, byte by byte."""
    (artifact,) = world.get(f"/v1/jobs/{job_id}").json["artifacts"]
    assert (artifact["bytes"], artifact["sha256"]) == (len(TALK), SHA256)
    assert world.get(artifact["href"]).data == TALK


def owner(world: World, path: str) -> str:
    with transaction(world.services.jobs.engine) as session:
        return str(session.scalar(select(UploadRow.owner).where(UploadRow.id == id_of(path))))


def blob_of(world: World, path: str) -> str:
    with transaction(world.services.jobs.engine) as session:
        return str(session.scalar(select(UploadRow.blob).where(UploadRow.id == id_of(path))))


def final(parts: list[str], url: str = "") -> str:
    return "final;" + " ".join(url + part for part in parts)
