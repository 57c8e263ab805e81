"""Auth on real databases: SQLite, and MariaDB where the servers may run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy import Engine

from auth import keys, migrate
from auth.app import create_app
from auth.keys import Keys
from auth.tokens import Tokens
from auth.users import Users
from pipeline.database import connect

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECONDS = 900


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if request.param == "mysql":
        url = request.getfixturevalue("new_database")()
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('auth')}/auth.db"
    migrate.upgrade(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    path = tmp_path_factory.mktemp("keys") / "keys.pem"
    keys.ensure(path)
    return Keys.load(path)


@pytest.fixture
def users(engine: Engine) -> Users:
    return Users(engine, CHEAP)


@pytest.fixture
def tokens(engine: Engine, signing: Keys) -> Tokens:
    return Tokens(engine, signing, SECONDS)


@pytest.fixture
def client(users: Users, tokens: Tokens) -> FlaskClient:
    return create_app(users, tokens).test_client()


@pytest.fixture
def email(request: pytest.FixtureRequest) -> str:
    """An address of the test's own: tests share a database."""
    return f"{request.node.originalname}@example.com"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/auth.db"
