from pathlib import Path

import pytest

from pipeline.settings import Settings, table

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SPOOL_{name.upper()}", raising=False)


def test_what_is_missing_is_said_in_one_line_each() -> None:
    with pytest.raises(SystemExit) as ended:
        Settings.load("database_url", "blob_url")
    lines = str(ended.value).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["SPOOL_DATABASE_URL", "SPOOL_BLOB_URL"]


def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOOL_LEASE_SECONDS", "soon")
    with pytest.raises(SystemExit, match=r"SPOOL_LEASE_SECONDS: .*valid number"):
        Settings.load()


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOOL_LEASE_SECONDS", "")
    assert Settings.load().lease_seconds == 30


def test_secrets_do_not_show_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOOL_SPEECH_KEY", "sk-very-secret")
    assert "very-secret" not in repr(Settings.load())


def test_the_table_in_the_docs_is_the_truth() -> None:
    assert (DOCS / "settings.md").read_text().endswith(table()), "run: python -m pipeline settings"
