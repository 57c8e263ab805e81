"""Real servers, and clients that vanish, stall or send a lot."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import pytest

from dev.waiting import eventually
from gateway.tests.conftest import ADA, PASSWORD, World
from gateway.tests.servers import Gunicorn, dial, read_all, serve, start, upload_head

CURL = ["curl", "--silent", "--show-error", "--max-time", "30"]
Run = Callable[..., AbstractContextManager[Gunicorn]]


@pytest.fixture
def narrow(run: Run, environment: dict[str, str]) -> Iterator[Gunicorn]:
    """A gunicorn with two threads, which leaves clients that say or take nothing for a moment."""
    environment["SPOOL_STALL_SECONDS"] = "2"
    with run("--threads=2") as server:
        yield server


def stored(folder: Path) -> list[Path]:
    return list(folder.glob("stored/*"))


def answers(url: str) -> bool:
    return httpx.get(f"{url}/healthz", timeout=20).is_success


def test_a_body_that_is_cut_leaves_nothing(world: World) -> None:
    with serve(world.app) as url:
        for content in (b"", b"\x00" * 10, b"\x00" * 100_000):
            with dial(url) as connection:
                connection.sendall(upload_head(world.ada, 200_000) + content)
                connection.shutdown(1)
                answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b'"code": "malformed"' in answer
        eventually(world.is_untouched)


def test_a_client_that_vanishes_leaves_nothing(world: World) -> None:
    with serve(world.app) as url:
        with dial(url) as connection:
            connection.sendall(upload_head(world.ada, 200_000) + b"\x00" * 100_000)
            eventually(lambda: list(world.folder.iterdir()))
        eventually(world.is_untouched)


def test_a_cut_body_leaves_nothing_under_gunicorn_either(run: Run, world: World, tmp_path: Path) -> None:
    with run() as server:
        with dial(server.url) as connection:
            connection.sendall(upload_head(world.ada, 200_000) + b"\x00" * 100_000)
            connection.shutdown(1)
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert stored(tmp_path) == []
        assert httpx.get(f"{server.url}/v1/jobs", headers=world.ada).json()["items"] == []


def test_clients_that_stall_in_an_upload_cost_no_thread(narrow: Gunicorn, world: World, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(dial(narrow.url))
            connection.sendall(upload_head(world.ada, 200_000) + b"\x00" * 100_000)
        eventually(lambda: stored(tmp_path))
        assert answers(narrow.url)
        eventually(lambda: stored(tmp_path) == [])


def test_clients_that_stall_in_their_headers_cost_no_thread(narrow: Gunicorn) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(dial(narrow.url)).sendall(b"POST /upload HTTP/1.1\r\nHost: x")
        assert answers(narrow.url)


def test_clients_that_do_not_take_their_download_cost_no_thread(narrow: Gunicorn, world: World) -> None:
    files = {"f": ("a.mp4", b"\x00" * 30_000_000)}
    job = httpx.post(f"{narrow.url}/upload", files=files, headers=world.ada, timeout=30).json()
    head = (
        f"GET {job['artifacts'][0]['href']} HTTP/1.1\r\nHost: x\r\nAuthorization: {world.ada['Authorization']}\r\n\r\n"
    )
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(dial(narrow.url)).sendall(head.encode())
        assert answers(narrow.url)


def memory(pid: int, line: str) -> int:
    """Bytes, from /proc: `VmRSS` is what a process holds now, `VmHWM` the most it ever held."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(entry.split()[1]) * 1024 for entry in status if entry.startswith(f"{line}:"))


def zeros(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(1_000_000)


def test_a_large_upload_and_its_download_need_little_memory(run: Run, world: World, tmp_path: Path) -> None:
    head = upload_head({}, 0).split(b"\r\n\r\n", 1)[1]
    tail, size = b"\r\n--cut--\r\n", 200
    headers = {**world.ada, "Content-Type": "multipart/form-data; boundary=cut"}
    length = len(head) + size * 1_000_000 + len(tail)
    with run() as server, httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        client.get("/v1/jobs")
        before = memory(server.worker, "VmHWM")
        body = (part for parts in ([head], zeros(size), [tail]) for part in parts)
        job = client.post("/upload", content=body, headers={"Content-Length": str(length)}).raise_for_status().json()
        assert job["artifacts"][0]["bytes"] == size * 1_000_000
        with client.stream("GET", job["artifacts"][0]["href"]) as download:
            assert sum(map(len, download.iter_raw())) == size * 1_000_000
        assert memory(server.worker, "VmHWM") - before < 64 * 2**20


def test_the_curl_lines_work_as_they_stand(world: World, tmp_path: Path) -> None:
    video = tmp_path / "Mein Gespräch.mp4"
    video.write_bytes(b"\x00" * 100_000)
    with serve(world.app) as url:

        def curl(*arguments: str) -> str:
            return subprocess.run([*CURL, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

        bearer = f"Authorization: Bearer {curl('-X', 'POST', f'{url}/login', '-u', f'{ADA}:{PASSWORD}')}"
        answer = curl("-i", "-X", "POST", "-F", f"file=@{video}", "-H", bearer, f"{url}/upload")
        assert " 202 " in answer.splitlines()[0]
        (artifact,) = httpx.get(f"{url}/v1/jobs", headers=world.ada).json()["items"][0]["artifacts"]
        video.unlink()
        curl("-OJ", "-H", bearer, f"{url}/download?fid={artifact['fid']}")
        assert [path.read_bytes() for path in tmp_path.glob("Mein*.mp4")] == [b"\x00" * 100_000]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"SPOOL_AUTH_URL": ""}, "SPOOL_AUTH_URL is not set."),
        ({"SPOOL_LINK_KEYS": "short"}, "SPOOL_LINK_KEYS: "),
        ({"SPOOL_BLOB_URL": "ftp://x"}, "SPOOL_BLOB_URL: "),
        ({"SPOOL_UPLOAD_LIMIT": "much"}, "SPOOL_UPLOAD_LIMIT: "),
    ],
)
def test_it_refuses_to_start_with_a_clear_line(environment: dict[str, str], changes: dict[str, str], line: str) -> None:
    with start({**environment, **changes}, "--bind=127.0.0.1:0") as process:
        output = process.communicate(timeout=30)[0].decode()
    assert process.returncode not in (0, None)
    assert line in output
    assert "Traceback" not in output


def test_nothing_is_connected_before_it_is_needed(run: Run, environment: dict[str, str]) -> None:
    """It starts, and answers for itself, while everything else is away."""
    environment |= {
        "SPOOL_DATABASE_URL": "mysql+mysqldb://u:p@127.0.0.1:1/spool",
        "SPOOL_AUTH_URL": "http://127.0.0.1:1",
    }
    with run() as server:
        assert answers(server.url)
        assert httpx.get(f"{server.url}/readyz").status_code == 503
