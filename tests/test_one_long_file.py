"""One long recording and several converters: its parts are made by whoever is free, lost, called off, made again and joined."""

import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import imageio_ffmpeg
import pytest
from sqlalchemy import Engine, select, update

from dev.waiting import eventually
from pipeline.catalog import ArtifactRow, TaskRow
from pipeline.tasks import MAX_LAPSES
from tests.client import Client, artifact, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.recordings import make_seminar, unlike

MINUTES, PARTS = 18, 6
CONVERTERS = ("converter", "second converter", "third converter")
MP3_ALONE = {"transcribe": "no", "waveform": "no", "notify": ""}


class Part(NamedTuple):
    """A task that makes one, as the catalog has it."""

    number: int
    state: str
    attempt: int
    worker: str | None


@pytest.fixture(scope="module")
def seminar(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("media") / "seminar.mp4"
    make_seminar(path, MINUTES)
    return path.read_bytes()


@pytest.fixture
def recording(seminar: bytes, tmp_path: Path) -> Path:
    """New, so that there is something to encode."""
    path = tmp_path / "seminar.mp4"
    path.write_bytes(unlike(seminar))
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation], scratch: Path) -> Iterator[Installation]:
    with install(SPOOL_PART_MINUTES=str(MINUTES / PARTS), SPOOL_SCRATCH=str(scratch)) as running:
        yield running


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    installation.mend()
    found = installation.client()
    yield found
    found.close()


def crew(installation: Installation, count: int) -> None:
    """So many converters and no more, all of them waiting for work."""
    for name in CONVERTERS[count:]:
        if name in installation.services:
            installation.services[name].stop()
    hire(installation, *CONVERTERS[:count])
    eventually(lambda: installation.idle("encode") == count)


def hire(installation: Installation, *converters: str) -> None:
    for name in converters:
        if name in installation.services:
            installation.services[name].start()
        else:
            installation.worker("converter", name)


def called(installation: Installation, converter: str) -> str:
    """What the catalog calls the one worker of a converter that runs."""
    child = installation.services[converter].child
    assert child
    return f"{socket.gethostname()}:{child.pid}:0"


def kill(installation: Installation, worker: str | None) -> None:
    (name,) = (name for name in CONVERTERS if called(installation, name) == worker)
    installation.services[name].kill()


def parts(catalog: Engine, job: str) -> Sequence[Part]:
    columns = TaskRow.part, TaskRow.state, TaskRow.attempt, TaskRow.worker
    asked = select(*columns).where(TaskRow.job_id == job, TaskRow.kind == "encode").order_by(TaskRow.part)
    with catalog.connect() as connection:
        return [Part(*row) for row in connection.execute(asked)]


def in_the_middle(catalog: Engine, job: str) -> Part | None:
    """A part that is being made."""
    return next((part for part in parts(catalog, job) if part.state == "running" and at_work(part.worker)), None)


def at_work(worker: str | None) -> bool:
    """Whether its ffmpeg encodes."""
    _, _, pid = (worker or "").removesuffix(":0").rpartition(":")
    children = [child for place in Path("/proc").glob(f"{pid}/task/*/children") for child in read(place).split()]
    return any(b"libmp3lame" in read(Path("/proc", child.decode(), "cmdline")) for child in children)


def read(path: Path) -> bytes:
    """Nothing of a process that has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def attempts(catalog: Engine, job: str) -> list[int]:
    return [part.attempt for part in parts(catalog, job)]


def blobs(catalog: Engine, job: str) -> set[str]:
    """All that the catalog names of a job."""
    with catalog.connect() as connection:
        return set(connection.scalars(select(ArtifactRow.blob).where(ArtifactRow.job_id == job)))


def settled(installation: Installation, catalog: Engine) -> set[str]:
    """All blobs, once those that nobody needs any more are gone."""

    def needed() -> set[str]:
        with catalog.connect() as connection:
            return set(connection.scalars(select(ArtifactRow.blob)))

    eventually(lambda: installation.stored() == needed())
    return installation.stored()


def decoded(path: Path) -> int:
    """Samples of a recording, by ffmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vn", "-ac", "1", "-f", "u8", "-"]
    return len(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


def heard(client: Client, job: dict[str, Any], folder: Path) -> int:
    """Samples of a job's MP3, by mpg123, which is not of ffmpeg's kin."""
    (mp3,) = (name for name in names(job) if name.endswith(".mp3"))
    path = folder / "heard.mp3"
    path.write_bytes(client.http.get(artifact(job, mp3)["href"]).content)
    command = ["mpg123", "-q", "--mono", "-e", "u8", "--stdout", str(path)]
    return len(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


@pytest.fixture(autouse=True)
def joined(installation: Installation) -> Iterator[None]:
    """No file of these tests is encoded anew in one piece because its parts do not fit."""
    yield
    assert not any("parts do not fit" in service.output() for service in installation.services.values())


def whole(client: Client, job: dict[str, Any], recording: Path) -> bool:
    """Not a sample is missing."""
    ended = job["state"], names(job)
    return ended == ("done", ["seminar.mp3", "seminar.mp4"]) and heard(client, job, recording.parent) == decoded(
        recording
    )


@pytest.mark.servers
def test_all_converters_make_parts_of_one_file(
    installation: Installation, catalog: Engine, client: Client, recording: Path
) -> None:
    crew(installation, 3)
    before = installation.stored()
    job = client.upload(recording, **MP3_ALONE)["id"]
    assert whole(client, client.ended(job), recording)
    made = parts(catalog, job)
    assert [(part.state, part.attempt) for part in made] == [("done", 1)] * PARTS
    assert {part.worker for part in made} == {called(installation, name) for name in CONVERTERS}
    assert not {blob for blob in blobs(catalog, job) if "part" in blob}
    eventually(lambda: installation.stored() - before == blobs(catalog, job))


@pytest.mark.servers
def test_a_converter_killed_in_the_middle_of_a_part_costs_that_part_alone(
    installation: Installation, catalog: Engine, client: Client, recording: Path
) -> None:
    crew(installation, 3)
    job = client.upload(recording, **MP3_ALONE)["id"]
    lost = eventually(lambda: in_the_middle(catalog, job))
    assert lost
    kill(installation, lost.worker)
    assert whole(client, client.ended(job), recording)
    assert attempts(catalog, job) == [2 if number == lost.number else 1 for number in range(PARTS)]


@pytest.mark.servers
def test_converters_that_come_while_a_file_is_in_work_take_parts_of_it(
    installation: Installation, catalog: Engine, client: Client, recording: Path
) -> None:
    crew(installation, 1)
    job = client.upload(recording, **MP3_ALONE)["id"]
    eventually(lambda: in_the_middle(catalog, job))
    hire(installation, *CONVERTERS)
    assert whole(client, client.ended(job), recording)
    assert attempts(catalog, job) == [1] * PARTS
    assert {part.worker for part in parts(catalog, job)} == {called(installation, name) for name in CONVERTERS}


@pytest.mark.servers
def test_a_file_called_off_in_mid_work_leaves_nothing(
    installation: Installation, catalog: Engine, client: Client, recording: Path, scratch: Path
) -> None:
    crew(installation, 2)
    before, left = settled(installation, catalog), {*scratch.iterdir()}
    job = client.upload(recording, **MP3_ALONE)["id"]
    eventually(lambda: in_the_middle(catalog, job) and any(part.state == "done" for part in parts(catalog, job)))
    assert client.http.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    eventually(lambda: {*scratch.iterdir()} == left)
    assert names(client.job(job)) == ["seminar.mp4"]
    assert not any(part.state in ("queued", "running") for part in parts(catalog, job))
    eventually(lambda: installation.stored() - before == blobs(catalog, job))
    client.http.delete(f"/v1/jobs/{job}").raise_for_status()
    eventually(lambda: installation.stored() == before)


@pytest.mark.servers
def test_what_failed_is_made_again_and_nothing_else(
    installation: Installation, catalog: Engine, client: Client, recording: Path
) -> None:
    crew(installation, 3)
    job = client.upload(recording, **MP3_ALONE)["id"]
    lost = eventually(lambda: in_the_middle(catalog, job))
    assert lost
    has_killed_before(catalog, job, lost.number)
    kill(installation, lost.worker)
    failed = client.ended(job)
    assert (failed["state"], names(failed)) == ("failed", ["seminar.mp4"])
    assert "stopped without a word" in failed["reason"]
    assert client.http.post(f"/v1/jobs/{job}/retry").status_code == 202
    assert whole(client, client.ended(job), recording)
    assert attempts(catalog, job) == [2 if number == lost.number else 1 for number in range(PARTS)]


def has_killed_before(catalog: Engine, job: str, part: int) -> None:
    """As if this part had ended its worker as often as one may."""
    mine = TaskRow.job_id == job, TaskRow.kind == "encode", TaskRow.part == part
    with catalog.begin() as connection:
        connection.execute(update(TaskRow).where(*mine).values(lapses=MAX_LAPSES))


def test_the_embedded_suite_splits_and_joins_and_tells_how_fast(tmp_path: Path, recording: Path) -> None:
    suite = Embedded(tmp_path, SPOOL_PART_MINUTES=str(MINUTES / 2))
    with suite.start().process:
        client = suite.client()
        job = client.upload(recording, **MP3_ALONE)["id"]
        running = eventually(lambda: told(client, job))
        assert running
        assert running["state"] == "running"
        assert 0 < running["seconds_left"] < MINUTES * 60
        assert whole(client, client.ended(job), recording)
        assert [client.stage(job, stage)["state"] for stage in ("encode", "join")] == ["done", "done"]
        assert client.stage(job, "encode")["speed"] is None
        client.close()


def told(client: Client, job: str) -> dict[str, Any] | None:
    """How the encoding goes, once that is known."""
    stage = client.stage(job, "encode")
    return stage if stage["speed"] else None
