"""Children of real worker processes: what keeps them from the network on this machine, and what does where less is allowed."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.waiting import eventually
from pipeline import child
from pipeline.child import Limits

ROOT = Path(__file__).parents[2]
LIMITS = Limits(seconds=20, memory=2**30, file_size=0)
NOBODY = ("setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--")
NO_NAMESPACES = ("unshare", "--user", "--map-root-user", "sh", "-c", 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"', "sh")  # fmt: skip
UNKNOWN_PROCESSOR = ("linux32",)

WORKER = """
import json, sys
from pathlib import Path
from pipeline import child
heard = bytearray()
limits = child.Limits(seconds=20, memory=2**30, file_size=0)
ended = child.run(json.loads(sys.argv[1]), folder=Path('/'), limits=limits, hear=heard.extend)
print(json.dumps([child.isolation(), heard.decode() + ended.log]))
"""
REACH = "exec 3<>/dev/tcp/127.0.0.1/$0 && head -c 6 <&3"
"""For bash, which lies where everybody may start it."""


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server that says `canary` to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = "import socket, sys\nserver = socket.socket(fileno=int(sys.argv[1]))\nwhile 1: server.accept()[0].sendall(b'canary')"
        with subprocess.Popen(
            [sys.executable, "-c", program, str(server.fileno())], pass_fds=[server.fileno()]
        ) as serving:
            yield port
            serving.kill()


def possible(*prefix: str) -> bool:
    """Whether a worker can be started so; nobody may not read every folder that this may lie in."""
    worker = [*prefix, sys.executable, "-B", "-c", "import pipeline.child"]
    return subprocess.run(worker, cwd=ROOT, capture_output=True).returncode == 0


def child_of_a_worker(prefix: tuple[str, ...], *command: str) -> tuple[str, str]:
    """How a worker that is started by `prefix` keeps its children from the network, and what its child `command` said."""
    if not possible(*prefix):
        pytest.skip("this machine does not allow it")
    said = subprocess.run(
        [*prefix, sys.executable, "-B", "-c", WORKER, json.dumps(command)], cwd=ROOT, check=True, capture_output=True
    )
    isolation, heard = json.loads(said.stdout)
    return isolation, heard


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ((), "network namespace" if possible("unshare", "--net") or possible("unshare", "--user", "--net") else "seccomp"),
        (NOBODY, "network namespace" if possible("unshare", "--user", "--net") else "seccomp"),
        (NO_NAMESPACES, "seccomp"),
    ],
    ids=["as we are", "as nobody", "without namespaces"],
)  # fmt: skip
def test_a_child_reaches_no_network(prefix: tuple[str, ...], expected: str, listener: int) -> None:
    isolation, heard = child_of_a_worker(prefix, "bash", "-c", REACH, str(listener))
    assert isolation == expected
    assert "canary" not in heard
    assert "Network is unreachable" in heard or "Operation not permitted" in heard or "refused" in heard


def test_where_nothing_is_allowed_the_worker_says_so_and_works(listener: int) -> None:
    isolation, heard = child_of_a_worker((*NO_NAMESPACES, *UNKNOWN_PROCESSOR), "bash", "-c", REACH, str(listener))
    assert isolation == "whitelist only"
    assert "canary" in heard


def test_the_filter_lets_no_ring_open_what_it_refuses() -> None:
    program = "import ctypes; print(ctypes.CDLL(None, use_errno=True).syscall(425, 8, None), ctypes.get_errno())"
    _, heard = child_of_a_worker(NO_NAMESPACES, sys.executable, "-c", program)
    assert heard == "-1 1\n"  # EPERM


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could")
def test_a_child_of_root_cannot_go_back_into_the_network(listener: int) -> None:
    command = ["nsenter", f"--net=/proc/{os.getpid()}/ns/net", "bash", "-c", REACH, str(listener)]
    heard = bytearray()
    ended = child.run(command, folder=Path("/"), limits=LIMITS, hear=heard.extend)
    assert ended.status
    assert b"canary" not in heard


def test_a_child_has_all_its_limits_and_gives_way_to_servers() -> None:
    heard = bytearray()
    program = "import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH); print(open('/proc/self/limits').read())"
    child.run([sys.executable, "-c", program], folder=Path("/"), limits=LIMITS, hear=heard.extend)
    batch, _, *rows = heard.decode().strip().splitlines()
    limits = {row[:25].strip(): row[25:].split()[:2] for row in rows}
    seconds = 20 * (os.cpu_count() or 1)
    assert batch == "True"
    assert limits["Max cpu time"] == [str(seconds), str(seconds + 5)]
    assert limits["Max address space"] == [str(2**30)] * 2
    assert limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
    assert int(limits["Max processes"][1]) <= 8192


def test_a_worker_that_is_limited_itself_starts_children() -> None:
    _, heard = child_of_a_worker((*NOBODY, "prlimit", "--nproc=4000:4000", "--fsize=0:0", "--"), "echo", "here")
    assert heard == "here\n"


def test_what_a_child_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    heard = bytearray()
    command = ["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"]
    assert child.run(command, folder=tmp_path, limits=LIMITS, hear=heard.extend).status == 0
    eventually(lambda: not Path(f"/proc/{int(heard)}").exists())
