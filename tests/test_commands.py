"""`make demo` and `make up`, as their users meet them."""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

from dev.services.server import free_port
from dev.waiting import eventually
from tests.client import Client
from tests.embedded import Embedded
from tests.processes import ROOT, youngest_thread
from tests.recordings import MEDIA, make_speech


def run_demo(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": "/usr/bin:/bin",
        "SPOOL_DATA": str(folder / "data"),
        "SPOOL_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "dev", "demo", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)


def start_again(suite: Embedded, **changed: str) -> "subprocess.CompletedProcess[str]":
    environment = {**suite.process.environment, **changed}
    command = [sys.executable, "-m", "dev", "up"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_demonstration_shows_and_writes_everything(tmp_path: Path) -> None:
    done = run_demo(tmp_path, str(MEDIA / "talk.mp4"))
    assert done.returncode == 0, done.stdout + done.stderr
    shown = " ".join(done.stdout.replace("│", " ").split())
    assert "what you can do for your country" in shown
    assert "Subject: Ready: talk.mp4" in shown
    assert "opens without a login" in shown
    for stage in ("upload", "extract", "encode", "draw", "cut", "transcribe", "merge", "deliver"):
        assert re.search(rf"│ {stage} +│ +[0-9.]+ │", done.stdout)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"talk.{end}" for end in ("json", "mp3", "srt", "txt", "vtt", "waveform.json", "waveform.png")
    ]


def test_a_demonstration_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 100)
    failed = run_demo(tmp_path, "noise.mp4")
    assert failed.returncode == 1
    assert "cannot be read as a recording" in " ".join(failed.stdout.split())


def test_the_printed_lines_work_and_a_second_start_finds_everything(embedded: Embedded, tmp_path: Path) -> None:
    printed = embedded.process.output()
    for name in ("sign-in", "link-key", "secret-key"):
        assert stat.S_IMODE((embedded.data / name).stat().st_mode) == 0o600
    lines = [line.strip() for line in printed.splitlines() if "curl" in line]
    assert len(lines) == 3
    (tmp_path / "x.mp4").write_bytes((MEDIA / "talk.mp4").read_bytes())
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines[:2])], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert '"state":"queued"' in done.stdout.replace(" ", ""), done.stdout + done.stderr

    client = embedded.client()
    (job,) = client.jobs()
    client.close()
    embedded.process.signal(signal.SIGINT)
    assert embedded.process.wait() == 0
    embedded.start()
    client = embedded.client()
    assert client.ended(job["id"])["state"] == "done"
    client.close()


def test_a_process_that_leaves_does_nothing_more() -> None:
    code = "import atexit; from dev.commands import _leave; atexit.register(print, 'late'); print('said'); _leave(3)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "")


def test_it_stops_in_the_middle_of_a_long_transcription(embedded: Embedded, tmp_path: Path) -> None:
    make_speech(tmp_path / "speech.flac", minutes=10)
    client = embedded.client()
    job = client.upload(tmp_path / "speech.flac", waveform="no")
    eventually(lambda: client.stage(job["id"], "transcribe")["state"] == "running", timeout=150)
    client.close()
    embedded.process.signal(signal.SIGINT)
    assert embedded.process.wait() == 0


def test_it_stops_by_a_signal_that_another_thread_gets(embedded: Embedded) -> None:
    assert embedded.process.child
    os.kill(youngest_thread(embedded.process.child.pid), signal.SIGINT)
    assert embedded.process.wait() == 0


def test_one_folder_has_one_suite(embedded: Embedded) -> None:
    second = start_again(embedded, SPOOL_PORT=str(free_port()))
    assert second.returncode == 1
    assert second.stderr.startswith("A suite is running in ")
    assert len(second.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_said_so(embedded: Embedded, tmp_path: Path) -> None:
    second = start_again(embedded, SPOOL_DATA=str(tmp_path / "other"))
    assert second.returncode == 1
    assert f"Port {embedded.port} cannot be used; another program may listen there" in second.stderr


def test_what_a_suite_that_was_killed_had_in_work_goes_at_the_next_start(tmp_path: Path) -> None:
    suite = Embedded(tmp_path)
    for service in ("spool", "speech"):
        left = suite.data / "scratch" / f"{service}-left"
        left.mkdir(parents=True)
        (left / "recording").touch()
    with suite.start().process:
        assert not list((suite.data / "scratch").iterdir())


def test_a_given_sign_in_is_kept(tmp_path: Path) -> None:
    suite = Embedded(tmp_path)
    plain = dict(suite.process.environment)
    suite.process.environment |= {"SPOOL_ADMIN_EMAIL": "ada@example.org", "SPOOL_ADMIN_PASSWORD": "correct horse"}
    with suite.start().process:
        suite.process.stop()
        suite.process.environment = plain
        suite.start()
        assert suite.process.output().count("Sign in as ada@example.org with correct horse") == 2
        Client(suite.url, "ada@example.org", "correct horse").sign_in().close()
