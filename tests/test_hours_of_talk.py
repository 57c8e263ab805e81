"""Two hours on real servers, with real speech and the real model: two converters, two transcribers, one of which is killed on the way."""

import re
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pytest
from sqlalchemy import Engine, select

from dev.waiting import eventually
from pipeline.catalog import TaskRow
from tests.aloud import READING, read_aloud, wrong
from tests.client import Client, artifact
from tests.installation import Installation
from tests.recordings import MEDIA, decode, mux

RATE = 16_000
SECONDS = 2 * 3600
SPEECHES, READINGS = (5, 3000, 7140), tuple(range(60, 7000, 640))
"""Seconds of the recording at which the same eleven seconds of a speech begin, and the same minutes of a reading."""
READ = "\n".join(READING.splitlines()[:7])
JFK = "And so, my fellow Americans, ask not what your country can do for you; ask what you can do for your country."
SMALL = {"preset": "voice", "sample_rate": "16000", "waveform": "no", "notify": ""}
"""So that two hours are encoded in a moment."""
WRONG = 0.08
"""Share of the words that tiny.en may hear otherwise."""


class Part(NamedTuple):
    number: int
    state: str
    attempt: int
    worker: str | None


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is said, and the faint noise of a room between; the pictures are a few seconds over and over."""
    folder = tmp_path_factory.mktemp("talk")
    room = np.random.default_rng(7).integers(-8, 9, RATE * 60, dtype=np.int16)
    sound = np.tile(room, SECONDS // 60)
    for starts, said in (
        (SPEECHES, decode(MEDIA / "jfk.flac", RATE)),
        (READINGS, decode(read_aloud(folder / "reading.wav", READ), RATE)),
    ):
        for start in starts:
            sound[start * RATE : start * RATE + len(said)] = said
    with wave.open(str(folder / "talk.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    mux(MEDIA / "rabbit320.mp4", folder / "talk.wav", folder / "talk.mkv", SECONDS)
    return folder / "talk.mkv"


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Iterator[Installation]:
    with install(SPOOL_SPEECH_IN_FLIGHT="1") as running:
        for service in ("converter", "transcriber"):
            running.worker(service, f"second {service}")
        eventually(lambda: running.idle("encode") == running.idle("transcribe") == 2)
        yield running


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    found = installation.client()
    yield found
    found.close()


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_two_hours_lose_no_word_and_keep_their_times(
    installation: Installation, catalog: Engine, client: Client, talk: Path
) -> None:
    alone = spoken(client, client.ended(client.upload(MEDIA / "jfk.flac", "talk.flac", **SMALL)["id"]))
    job = client.upload(talk, **SMALL)["id"]
    lost, other = eventually(lambda: at_work(catalog, job), 600)
    assert lost.worker != other.worker
    kill(installation, lost)
    ended = client.sign_in().ended(job, timeout=1500)
    assert ended["state"] == "done", ended["reason"]
    made = parts(catalog, job)
    assert len(made) >= 3
    assert made[lost.number].attempt > 1
    assert made[other.number].worker == other.worker
    assert len({part.worker for part in parts(catalog, job, "encode")}) == 2
    words = spoken(client, ended)
    for start in READINGS:
        assert wrong(READ, " ".join(plain(between(words, start, 140)))) <= WRONG, f"at {start} s"
    spoken_of = [between(words, start, 140) for start in READINGS] + [between(words, start, 12) for start in SPEECHES]
    assert len(words) == sum(map(len, spoken_of)), "nothing is made up"
    for start in SPEECHES:
        here = between(words, start, 12)
        assert len(here) == len(alone), f"at {start} s: {plain(here)}"
        assert sum(one != other for one, other in zip(plain(here), plain(alone), strict=True)) <= 1, f"at {start} s"
        late = [one["start"] - start - other["start"] for one, other in zip(here, alone, strict=True)]
        assert abs(median(late)) <= 0.2, f"at {start} s"


def parts(catalog: Engine, job: str, kind: str = "transcribe") -> Sequence[Part]:
    asked = select(TaskRow.part, TaskRow.state, TaskRow.attempt, TaskRow.worker).where(TaskRow.kind == kind)
    with catalog.connect() as connection:
        return [Part(*row) for row in connection.execute(asked.where(TaskRow.job_id == job).order_by(TaskRow.part))]


def at_work(catalog: Engine, job: str) -> list[Part]:
    """The two parts that are transcribed at the same time, once there are."""
    running = [part for part in parts(catalog, job) if part.state == "running"]
    return running if len(running) == 2 else []


def kill(installation: Installation, part: Part) -> None:
    """The transcriber that works on it; the catalog calls it by its machine, its process and its lane."""
    transcribers = (service for name, service in installation.services.items() if "transcriber" in name)
    (one,) = (service for service in transcribers if service.child and f":{service.child.pid}:" in (part.worker or ""))
    one.kill()


def spoken(client: Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Every word, with its times."""
    document = client.http.get(artifact(job, "talk.json")["href"]).json()
    return [word for segment in document["segments"] for word in segment["words"]]


def between(words: list[dict[str, Any]], start: float, seconds: float) -> list[dict[str, Any]]:
    return [word for word in words if start - 1 <= word["start"] < start + seconds]


def plain(words: list[dict[str, Any]]) -> list[str]:
    return re.findall(r"\w+", " ".join(word["text"] for word in words).lower())
