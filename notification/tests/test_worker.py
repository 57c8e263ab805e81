"""What a worker is made of, and what it refuses to start with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dev.mail.server import parsed
from notification.tests.conftest import TASK
from notification.worker import handlers
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {
    "SPOOL_QUEUE_URL": "amqp://127.0.0.1:1/",
    "SPOOL_MAIL_URL": "file:///nowhere/mails",
    "SPOOL_PUBLIC_URL": "http://127.0.0.1:1",
    "SPOOL_LINK_KEYS": "k" * 32,
}


def test_the_handler_of_deliver_sends_as_the_settings_say(
    catalog: Engine, blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    settings = Settings(
        mail_url=(tmp_path / "mails").as_uri(),
        mail_from="Reels <reels@example.com>",
        link_keys="k" * 32,
        public_url="https://reels.example.com",
    )
    handlers(settings, catalog)["deliver"](TASK, blobs, tmp_path, lambda *_: None)
    (path,) = (tmp_path / "mails").glob("*.eml")
    mail = parsed(path.read_bytes())
    assert mail["From"] == "Reels <reels@example.com>"
    assert mail["Message-ID"].endswith("@example.com>")
    assert "https://reels.example.com/v1/links/" in mail.as_string().replace("=\n", "")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SPOOL_MAIL_URL", "pigeon://loft", "SPOOL_MAIL_URL: a mail server is smtp://host"),
        ("SPOOL_MAIL_URL", "", "SPOOL_MAIL_URL is not set"),
        ("SPOOL_MAIL_FROM", "nobody", "SPOOL_MAIL_FROM: not a mail address"),
        ("SPOOL_LINK_KEYS", "short", "SPOOL_LINK_KEYS: every key needs 32 characters"),
    ],
)
def test_a_worker_with_a_wrong_setting_says_so_and_ends(tmp_path: Path, name: str, value: str, said: str) -> None:
    own = {"SPOOL_DATABASE_URL": f"sqlite:///{tmp_path}/c.db", "SPOOL_BLOB_URL": (tmp_path / "blobs").as_uri()}
    ended = subprocess.run(
        [sys.executable, "-m", "notification"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **GIVEN, **own, name: value},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert any(line.startswith(said) for line in ended.stderr.splitlines())
    assert "Traceback" not in ended.stderr
