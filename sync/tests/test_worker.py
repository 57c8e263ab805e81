import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Reject
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.work import Progress, Task
from sync.tests.conftest import RECORDING
from sync.tests.site import Site, gives
from sync.worker import handlers

ROOT = Path(__file__).resolve().parents[2]


def _quiet(percent: float, speed: float | None = None) -> None:
    pass


def _fetch(settings: Settings, url: str, folder: Path, progress: Progress = _quiet) -> int:
    settings = settings.model_copy(update={"link_keys": SecretStr("k" * 32)})
    handle = handlers(settings, create_engine("sqlite://"))["fetch"]
    task = Task("0" * 32, "1" * 32, "fetch", 0, 1, "talk", {"url": url}, Options(), "running", None, ())
    (original,) = handle(task, DirectoryBlobs(folder / "blobs"), folder, progress).artifacts
    return original.bytes


def test_the_handler_of_fetch_keeps_to_the_settings(site: Site, tmp_path: Path) -> None:
    url = site.put("/a.mp3", gives(RECORDING))
    with pytest.raises(Reject, match="private network"):
        _fetch(Settings(), url, tmp_path)
    with pytest.raises(Reject, match="larger than 1,000 bytes"):
        _fetch(Settings(fetch_networks="127.0.0.0/8", upload_limit=1000), url, tmp_path)
    assert _fetch(Settings(fetch_networks="10.0.0.0/8 127.0.0.0/8"), url, tmp_path) == len(RECORDING)


def test_a_worker_with_wrong_networks_says_so_and_ends(tmp_path: Path) -> None:
    given = {
        "PATH": os.environ["PATH"],
        "SPOOL_DATABASE_URL": f"sqlite:///{tmp_path}/c.db",
        "SPOOL_BLOB_URL": (tmp_path / "blobs").as_uri(),
        "SPOOL_QUEUE_URL": "amqp://127.0.0.1:1/",
        "SPOOL_FETCH_NETWORKS": "10.0.0.1/8",
        "SPOOL_LINK_KEYS": "k" * 32,
        "SPOOL_PUBLIC_URL": "http://127.0.0.1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "sync"], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "SPOOL_FETCH_NETWORKS: 10.0.0.1/8 has host bits set" in ended.stderr
    assert "Traceback" not in ended.stderr
