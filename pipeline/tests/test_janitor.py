import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update

from dev.waiting import eventually
from pipeline import database, janitor
from pipeline.authorizations import Authorizations
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import AuthorizationRow, Base, DeletionRow, LinkRow, UsageRow
from pipeline.database import now, transaction
from pipeline.errors import Unavailable
from pipeline.janitor import clean
from pipeline.jobs import Jobs
from pipeline.settings import Settings
from pipeline.shares import Shares
from pipeline.tests.makers import (
    OWNER,
    a_job,
    a_recording,
    an_upload,
    end_days_ago,
    named_blobs,
    stored_blobs,
    work_through,
    write,
)

AT_ONCE: dict[str, Any] = {"janitor_hours": 1e-9}


def settings(**given: Any) -> Settings:
    return Settings.model_validate(given)


def test_only_old_bytes_that_nothing_names_are_removed(catalog: Engine, store: DirectoryBlobs) -> None:
    for blob in ("of-a-job", "growing", "nobodys"):
        write(store, blob, b"12345")
    a_job(catalog, blob="of-a-job")
    an_upload(catalog, "growing", days=1)
    assert clean(catalog, store, settings(janitor_hours=1)).blobs == 0
    assert clean(catalog, store, settings(**AT_ONCE)).blobs == 1
    assert stored_blobs(store) == {"of-a-job", "growing"}


def test_one_round_does_everything_and_says_so(catalog: Engine, store: DirectoryBlobs) -> None:
    long_ago = work_through(catalog, store, a_recording(catalog, store, b"1", transcribe=False))
    lately = work_through(catalog, store, a_recording(catalog, store, b"2", transcribe=False))
    end_days_ago(catalog, 90, long_ago)
    end_days_ago(catalog, 30, lately)
    for blob in ("nobodys", "late", "in-time"):
        write(store, blob, b"12345")
    an_upload(catalog, "late", days=-1)
    an_upload(catalog, "in-time", days=1)
    done = clean(catalog, store, settings(keep_original_days=30, keep_result_days=90, **AT_ONCE))
    assert str(done) == "1 jobs, 1 originals, 1 uploads, 0 links, 0 notes, 9 blobs"
    assert [job.id for job in Jobs(catalog).list(OWNER)[0]] == [lately.id]
    assert stored_blobs(store) == named_blobs(catalog) | {"in-time"}
    assert len(named_blobs(catalog)) == 3


def test_notes_are_kept_as_long_as_somebody_asks_for_them(
    catalog: Engine, store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "BATCH", 2)
    with transaction(catalog) as session:
        for days in (29, 31, 32, 33):
            session.add(DeletionRow(job_id=f"{days}", owner=OWNER, at=now() - timedelta(days=days)))
        for days in (0, 61, 63, 64, 65):
            session.add(UsageRow(owner=OWNER, at=now() - timedelta(days=days), bytes=days))
    assert clean(catalog, store, settings()).notes == 6
    with transaction(catalog) as session:
        assert list(session.scalars(select(DeletionRow.job_id))) == ["29"]
        assert sorted(session.scalars(select(UsageRow.bytes))) == [0, 61]


def test_links_go_when_they_have_expired(
    catalog: Engine, store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "BATCH", 2)
    job = a_recording(catalog, store)
    for hours in (-3, -2, -1, 1):
        Shares(catalog).make(OWNER, job.id, None, now() + timedelta(hours=hours), None)
    assert clean(catalog, store, settings()).links == 3
    assert clean(catalog, store, settings()).links == 0
    with transaction(catalog) as session:
        assert session.scalar(select(func.count()).select_from(LinkRow)) == 1


def test_ways_to_connect_that_nobody_went_to_the_end_go(catalog: Engine, store: DirectoryBlobs) -> None:
    for _ in range(2):
        Authorizations(catalog).begin(OWNER, "a browser", "sealed", {})
    assert clean(catalog, store, settings()).links == 0
    with transaction(catalog) as session:
        session.execute(update(AuthorizationRow).values(expires_at=now() - timedelta(seconds=1)))
    assert clean(catalog, store, settings()).links == 2


def test_the_catalog_is_tended_while_the_store_is_away(catalog: Engine, store: DirectoryBlobs, tmp_path: Path) -> None:
    job = work_through(catalog, store, a_recording(catalog, store))
    end_days_ago(catalog, 31)
    away = (tmp_path / "blobs").rename(tmp_path / "away")
    with pytest.raises(Unavailable):
        clean(catalog, store, settings(keep_result_days=30))
    assert Jobs(catalog).get(OWNER, job.id) is None
    away.rename(tmp_path / "blobs")
    clean(catalog, store, settings(keep_result_days=30))
    assert stored_blobs(store) == set()


def test_the_embedded_janitor_goes_on_after_a_failure(
    catalog: Engine, store: DirectoryBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "SECONDS", 0.01)
    write(store, "nobodys", b"12345")
    away = (tmp_path / "blobs").rename(tmp_path / "away")
    stop = Event()
    loop = Thread(target=janitor.run, args=(catalog, store, settings(**AT_ONCE), stop))
    loop.start()
    try:
        away.rename(tmp_path / "blobs")
        eventually(lambda: not stored_blobs(store))
    finally:
        stop.set()
        loop.join(10)
    assert not loop.is_alive()


def test_the_command_says_what_went(store: DirectoryBlobs, tmp_path: Path) -> None:
    catalog = database.connect(f"sqlite:///{tmp_path}/catalog.db")
    Base.metadata.create_all(catalog)
    a_recording(catalog, store)
    write(store, "nobodys", b"12345")
    done = run_clean(tmp_path)
    assert done.stdout == "Removed: 0 jobs, 0 originals, 0 uploads, 0 links, 0 notes, 1 blobs.\n"
    assert json.loads(done.stderr)["blob"] == "nobodys"
    catalog.dispose()


def test_the_command_fails_in_one_line(tmp_path: Path) -> None:
    done = run_clean(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "Error: the database does not answer\n"


def run_clean(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "SPOOL_DATABASE_URL": f"sqlite:///{folder}/catalog.db",
        "SPOOL_BLOB_URL": (folder / "blobs").as_uri(),
        "SPOOL_JANITOR_HOURS": "1e-9",
    }
    command = [sys.executable, "-m", "pipeline", "clean"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
