import hashlib
import io
import os
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse

from gateway import archive
from gateway.archive import Entry
from gateway.tests.conftest import World
from gateway.tests.exchanges import NOBODYS, TALK, a_file, assert_problem, upload
from gateway.tests.servers import serve
from gateway.tests.test_downloads import open_files
from pipeline.catalog import ArtifactRow, JobRow
from pipeline.database import now, transaction
from pipeline.reuse import artifact_row
from pipeline.work import Artifact

LARGE = 30_000_000
"""Bytes; more than the sockets between a server and a client that reads nothing hold."""


def a_job(world: World, *names: str, first: str = "talk.mp4") -> str:
    """The id of a job with an upload called `first`, and results called `names`, which hold their names."""
    job_id = str(upload(world, {"file": a_file(first)}).json["id"])
    for number, name in enumerate(names):
        add(world, job_id, name, f"{job_id}-{number}", name.encode())
    return job_id


def add(world: World, job_id: str, name: str, blob: str, content: bytes, size: int | None = None) -> None:
    """Gives the job another file; of `size`, it is sparse."""
    with world.services.blobs.create(blob) as target:
        target.write(content)
    if size:
        (world.folder / blob).chmod(0o600)
        os.truncate(world.folder / blob, size)
    artifact = Artifact(
        name, "transcript", "text/plain", size or len(content), hashlib.sha256(content).hexdigest(), blob
    )
    with transaction(world.services.jobs.engine) as session:
        session.add(artifact_row(job_id, artifact))


def get(world: World, job_id: str) -> TestResponse:
    return world.get(f"/v1/jobs/{job_id}/archive")


def opened(answer: TestResponse) -> zipfile.ZipFile:
    """The zip, once all checksums are found right."""
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    return archive


def test_all_files_of_a_job_come_in_one_zip(world: World) -> None:
    archive = opened(get(world, a_job(world, "talk.txt", "talk.srt")))
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "talk.mp4": TALK,
        "talk.txt": b"talk.txt",
        "talk.srt": b"talk.srt",
    }
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert open_files() == 0


def test_the_answer_says_what_it_is_and_how_long(world: World) -> None:
    job_id = a_job(world, first="Gespräch 1.2.mp4")
    answer = get(world, job_id)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private"
    assert answer.headers["Accept-Ranges"] == "none"
    named = parse_options_header(answer.headers["Content-Disposition"])
    assert named == ("attachment", {"filename": "Gespräch 1.2.zip"})
    head = world.client.head(f"/v1/jobs/{job_id}/archive", headers=world.ada, buffered=True)
    assert (head.status_code, head.data) == (200, b"")
    own = {"traceparent", "X-Request-Id"}
    assert {item for item in head.headers if item[0] not in own} == {
        item for item in answer.headers if item[0] not in own
    }


def test_head_needs_no_blob(world: World) -> None:
    job_id = a_job(world)
    for blob in list(world.services.blobs.list()):
        world.services.blobs.delete(blob.id)
    assert world.client.head(f"/v1/jobs/{job_id}/archive", headers=world.ada).status_code == 200


def test_parts_are_not_given(world: World) -> None:
    job_id = a_job(world)
    answer = world.get(f"/v1/jobs/{job_id}/archive", Range="bytes=0-1")
    assert (answer.status_code, answer.data) == (200, get(world, job_id).data)


NAMES = ["Gespräch.txt", "Интервью.txt", "会議.txt", "مقابلة.txt", "साक्षात्कार.txt", "🎉.txt", "a b & c; d=e.txt"]


def test_names_of_every_script_arrive(world: World) -> None:
    archive = opened(get(world, a_job(world, *NAMES)))
    assert set(archive.namelist()) == {"talk.mp4", *NAMES}
    for entry in archive.infolist():
        assert bool(entry.flag_bits & 0x800) == (not entry.filename.isascii())  # APPNOTE.TXT, 4.4.4: the name is UTF-8


@pytest.mark.parametrize(
    "name", ["../../x.mp4", "/etc/x.mp4", "..\\..\\x.mp4", "C:\\x.mp4", "..", ".", "a/../../x.mp4"]
)
def test_no_name_leads_out_of_the_folder(world: World, name: str, tmp_path: Path) -> None:
    archive = opened(get(world, a_job(world, first=name)))
    (entry,) = archive.namelist()
    assert not set(entry) & set("/\\:")
    assert entry.strip(".")
    archive.extractall(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [entry]


def test_names_differ_also_where_case_does_not_count(world: World) -> None:
    archive = opened(get(world, a_job(world, "Talk.mp4", "TALK.MP4", "straße.txt", "STRASSE.txt")))
    names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(names) == 5
    assert {archive.read(name) for name in names} == {
        TALK,
        b"Talk.mp4",
        b"TALK.MP4",
        "straße.txt".encode(),
        b"STRASSE.txt",
    }


def test_the_files_are_as_old_as_the_job(world: World) -> None:
    job_id = a_job(world)
    created = datetime.fromisoformat(world.get(f"/v1/jobs/{job_id}").json["created_at"])
    assert modified(world, job_id) == (*created.timetuple()[:5], created.second // 2 * 2)
    with transaction(world.services.jobs.engine) as session:
        session.get_one(JobRow, job_id).finished_at = datetime.fromisoformat("2031-02-03T04:05:06Z")
    assert modified(world, job_id) == (2031, 2, 3, 4, 5, 6)


def modified(world: World, job_id: str) -> tuple[int, ...]:
    return opened(get(world, job_id)).infolist()[0].date_time


@pytest.mark.parametrize(("limit", "large_files"), [(0, 8), (1000, 2), (300_000, 0)])
def test_large_files_and_large_zips_use_zip64(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: int, large_files: int
) -> None:
    """As if a zip without it ended at `limit` bytes, which is faster than 4 GiB."""
    job_id = a_job(world, "talk.txt", *(f"{number}.txt" for number in range(5)))
    plain = get(world, job_id)
    add(world, job_id, "more.mp4", f"{job_id}-more", TALK)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    answer = get(world, job_id)
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert b"PK\x06\x06" not in plain.data
    assert answer.data.count(b"PK\x06\x06") == 1  # APPNOTE.TXT, 4.3.14: the zip64 end of central directory
    assert (
        answer.data.count(b"\x01\0\x10\0" + bytes(16)) == large_files
    )  # 4.5.3: room for sizes that come behind the data
    archive = opened(answer)
    assert (archive.read("talk.mp4"), archive.read("more.mp4"), archive.read("4.txt")) == (TALK, TALK, b"4.txt")


@pytest.mark.parametrize("limit", [zipfile.ZIP64_LIMIT, 1000])
@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip is not installed")
def test_unzip_finds_it_right(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    path = tmp_path / "files.zip"
    path.write_bytes(get(world, a_job(world, *NAMES)).data)
    tested = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, timeout=30)
    assert tested.returncode == 0, tested.stdout
    assert "No errors detected" in tested.stdout


def test_a_zip_has_more_files_than_two_bytes_can_count() -> None:
    """APPNOTE.TXT, 4.4.1.4: then zip64 counts them."""
    entries = [Entry(f"{number}.txt", now(), 1, lambda: io.BytesIO(b"x")) for number in range(65_536)]
    content = b"".join(archive.zipped(entries))
    assert len(content) == archive.length(entries)
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert len(found.namelist()) == 65_536
        assert found.read("65535.txt") == b"x"


def test_the_length_of_more_than_four_gigabytes_is_known() -> None:
    plain, large = (
        archive.length([Entry("a", now(), size, io.BytesIO), Entry("b", now(), 0, io.BytesIO)])
        for size in (0, 5 * 2**30)
    )
    sizes, directory, end = (
        20 + 8,
        20 + 12,
        56 + 20,
    )  # before and behind the data; of one, where the other begins; 4.3.14 and 15
    assert large - plain - 5 * 2**30 == sizes + directory + end


@pytest.fixture
def large(world: World) -> str:
    """The id of a job with a small, a large and a last file."""
    job_id = a_job(world)
    add(world, job_id, "large.txt", "large", b"", LARGE)
    add(world, job_id, "last.txt", "last", b"last")
    return job_id


def take_last(world: World) -> None:
    world.services.blobs.delete("last")


def take_store(world: World) -> None:
    world.folder.rename(world.folder.with_name("away"))


def cut_last(world: World) -> None:
    os.truncate(world.folder / "last", 3)


@pytest.mark.parametrize("break_it", [take_last, take_store, cut_last])
def test_what_breaks_off_never_looks_whole(world: World, large: str, break_it: Callable[[World], None]) -> None:
    (world.folder / "last").chmod(0o600)
    received = []
    with serve(world.app) as url, httpx.stream("GET", f"{url}/v1/jobs/{large}/archive", headers=world.ada) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_raw()
        received.append(next(chunks))
        break_it(world)
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(chunks)
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(received)))
    assert open_files() == 0


def test_a_client_that_goes_away_leaves_nothing_open(world: World, large: str) -> None:
    answer = world.client.get(f"/v1/jobs/{large}/archive", headers=world.ada)
    assert next(answer.iter_encoded())
    answer.close()
    assert open_files() == 0


def test_a_zip_needs_little_memory_however_large_it_is(world: World) -> None:
    job_id = a_job(world)
    add(world, job_id, "large.txt", "large", b"", 200_000_000)
    answer = world.client.get(f"/v1/jobs/{job_id}/archive", headers=world.ada)
    tracemalloc.start()
    try:
        size = sum(map(len, answer.iter_encoded()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        answer.close()
    assert size == answer.content_length > 200_000_000
    assert peak < 8_000_000


def test_a_job_whose_file_is_gone_has_no_archive(world: World) -> None:
    job_id = a_job(world, "talk.txt")
    world.services.blobs.delete(f"{job_id}-0")
    assert_problem(get(world, job_id), 404, "not_found")


def test_a_job_without_files_has_no_archive(world: World) -> None:
    job_id = a_job(world)
    with transaction(world.services.jobs.engine) as session:
        session.delete(session.query(ArtifactRow).filter_by(job_id=job_id).one())
    answer = get(world, job_id)
    assert_problem(answer, 404, "not_found")
    assert answer.json["detail"] == "This job has no files."


def test_files_that_cannot_be_reached_may_be_asked_for_again(world: World) -> None:
    job_id = a_job(world)
    take_store(world)
    assert_problem(get(world, job_id), 503, "unavailable")


def test_only_the_owner_has_the_archive(world: World) -> None:
    path = f"/v1/jobs/{a_job(world)}/archive"
    assert_problem(world.client.get(path, headers=world.bob), 404, "not_found")
    assert_problem(world.client.get(path), 401, "unauthorized")
    assert_problem(get(world, NOBODYS), 404, "not_found")
    assert_problem(get(world, quote("../x")), 404, "not_found")
