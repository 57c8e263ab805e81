"""speech/ beside faster-whisper called in process, on ten minutes read by Piper, and its memory in an hour of it."""

import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from openai import OpenAI

from bench.figures import Figure, ratio
from bench.media import repeat
from bench.watch import children, resident
from dev.services.server import free_port
from tests.aloud import read_aloud
from tests.processes import ROOT, Process, gunicorn, wait_for

PAIRS = 5
ANSWER_SECONDS = 1800


def measure(folder: Path) -> Iterator[Figure]:
    reading, fast = read_aloud(folder / "reading.wav"), read_aloud(folder / "fast.wav", pace=1)
    with _server(folder) as (server, client), _in_process() as other:
        yield _beside_in_process(client, other, reading, "speech/ beside faster-whisper", 1.1)
        yield _beside_in_process(client, other, fast, "the same, a fast voice: what is left out is heard again", None)
        yield _memory(server, client, reading)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Process, OpenAI]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        gunicorn("speech", port, environment={}, folder=folder) as server,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=ANSWER_SECONDS) as client,
    ):
        wait_for(f"{url}/readyz", server)
        yield server, client


def _beside_in_process(
    client: OpenAI, other: subprocess.Popen[str], reading: Path, name: str, limit: float | None
) -> Figure:
    _transcribe(client, reading), _ask(other, reading)  # both have their model in memory from now on
    pairs = [(_transcribe(client, reading), _ask(other, reading)) for _ in range(PAIRS)]
    ours, theirs = ([pair[number] for pair in pairs] for number in (0, 1))
    with wave.open(str(reading)) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    detail = f"{seconds:.0f} s of speech, tiny.en, with words: {median(ours):.2f} s, in process {median(theirs):.2f} s, {PAIRS} pairs"
    return ratio(name, ours, theirs, limit, detail)


def _transcribe(client: OpenAI, recording: Path) -> float:
    began = time.monotonic()
    answer = client.audio.transcriptions.create(
        file=recording, model="tiny.en", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert answer.words
    return time.monotonic() - began


@contextmanager
def _in_process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.whisper_in_process"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(process: subprocess.Popen[str], recording: Path) -> float:
    assert process.stdin
    assert process.stdout
    print(recording, file=process.stdin, flush=True)
    return float(process.stdout.readline())


def _memory(server: Process, client: OpenAI, reading: Path) -> Figure:
    assert server.child
    (worker,) = children(server.child.pid)
    with wave.open(str(reading)) as sound:
        times = round(3600 * sound.getframerate() / sound.getnframes())
    hour = repeat(reading, reading.with_name("hour.wav"), times)
    seconds = _transcribe(client, hour)
    detail = f"peak resident set, tiny.en, an hour with words, heard in {seconds:.0f} s"
    return Figure("speech/: memory", resident(worker, "VmHWM"), 600, "MB", detail)
