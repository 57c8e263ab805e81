import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auth import keys, migrate
from auth.__main__ import main
from auth.keys import Keys
from auth.users import Users, WrongPassword
from pipeline.database import connect
from pipeline.web import GIVE_UP


@pytest.fixture
def database(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SPOOL_AUTH_DATABASE_URL", sqlite_url)
    migrate.upgrade(sqlite_url)
    return sqlite_url


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=text)


def signs_in(url: str, email: str, password: str) -> bool:
    engine = connect(url)
    try:
        return bool(Users(engine).verify(email, password))
    except WrongPassword:
        return False
    finally:
        engine.dispose()


def test_a_generated_password_is_shown_once_and_works(database: str) -> None:
    result = run("user", "add", "a@example.com")
    assert result.exit_code == 0
    assert signs_in(database, "a@example.com", result.output.split()[-1])


def test_a_given_password_is_not_shown(database: str) -> None:
    result = run("user", "add", "a@example.com", "--password-stdin", text="one two \n")
    assert (result.exit_code, result.output) == (0, "")
    assert signs_in(database, "a@example.com", "one two ")


def test_a_password_is_changed(database: str) -> None:
    run("user", "add", "a@example.com", "--password-stdin", text="one\n")
    assert run("user", "password", "a@example.com", "--password-stdin", text="two\n").exit_code == 0
    assert signs_in(database, "a@example.com", "two")
    assert not signs_in(database, "a@example.com", "one")


def test_users_are_listed_and_removed(database: str) -> None:
    for name in ("b", "a"):
        run("user", "add", f"{name}@example.com")
    assert [line.split()[1] for line in run("user", "list").output.splitlines()] == ["a@example.com", "b@example.com"]
    assert run("user", "remove", "a@example.com").exit_code == 0
    assert "a@example.com" not in run("user", "list").output


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["add", "here@example.com"], None, "is a user already"),
        (["add", "nonsense"], None, "not an e-mail address"),
        (["add", "new@example.com", "--password-stdin"], "\n", "password is empty"),
        (["remove", "nobody@example.com"], None, "not a user"),
        (["password", "nobody@example.com"], None, "not a user"),
    ],
)
def test_mistakes_end_with_one_line(database: str, arguments: list[str], text: str | None, message: str) -> None:
    run("user", "add", "here@example.com")
    result = run("user", *arguments, text=text)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Password" not in result.output


def test_a_new_key_is_one_that_can_sign(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"
    path.write_text(run("key", "new").output)
    assert Keys.load(path).signing


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOOL_AUTH_DATABASE_URL", raising=False)
    result = run("migrate")
    assert result.exit_code == 1
    assert "SPOOL_AUTH_DATABASE_URL is not set" in result.output


def load_service(**settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPOOL_")}
    command = [sys.executable, "-c", "from auth.wsgi import app; print(app.name)"]
    return subprocess.run(command, env={**environment, **settings}, capture_output=True, text=True, timeout=60)


def test_the_service_starts_from_the_environment_without_touching_its_database(tmp_path: Path) -> None:
    keys.ensure(tmp_path / "keys.pem")
    done = load_service(
        SPOOL_AUTH_DATABASE_URL=f"sqlite:///{tmp_path}/auth.db", SPOOL_SIGNING_KEYS=str(tmp_path / "keys.pem")
    )
    assert (done.stdout, done.stderr) == ("auth\n", "")
    assert not (tmp_path / "auth.db").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SPOOL_AUTH_DATABASE_URL": ""}, "SPOOL_AUTH_DATABASE_URL is not set"),
        ({"SPOOL_AUTH_DATABASE_URL": "postgresql://a:secret@b/c"}, "SPOOL_AUTH_DATABASE_URL: no database"),
        ({"SPOOL_AUTH_DATABASE_URL": "secret"}, "SPOOL_AUTH_DATABASE_URL:"),
        ({"SPOOL_SIGNING_KEYS": "/nowhere"}, "SPOOL_SIGNING_KEYS:"),
        ({"SPOOL_SIGNING_KEYS": "/dev/null"}, "SPOOL_SIGNING_KEYS: the file holds no private key"),
    ],
)
def test_the_service_refuses_to_start_with_one_line_that_says_why(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    keys.ensure(tmp_path / "keys.pem")
    fine = {"SPOOL_AUTH_DATABASE_URL": "sqlite:///x.db", "SPOOL_SIGNING_KEYS": str(tmp_path / "keys.pem")}
    done = load_service(**{**fine, **changed})
    assert done.returncode == GIVE_UP
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr
