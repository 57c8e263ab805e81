from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import JSON, Engine, String, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pipeline.database import MYSQL_TABLE, UtcDateTime, connect, now, ping, transaction
from pipeline.errors import Unavailable


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = MYSQL_TABLE

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    facts: Mapped[dict[str, float] | None] = mapped_column(JSON)


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/notes.db"
    made: str = request.getfixturevalue("mysql_url")
    return made


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = connect(url, seconds=5)
    with transaction(engine) as session:
        Base.metadata.create_all(session.connection())
    yield engine
    engine.dispose()


def read(engine: Engine, name: str) -> Note | None:
    with transaction(engine) as session:
        return session.get(Note, name)


def test_a_block_that_ends_is_kept_and_what_it_gave_stays_readable(engine: Engine) -> None:
    with transaction(engine) as session:
        note = Note(name="kept")
        session.add(note)
    assert note.count == 0
    assert read(engine, "kept")


def fail_after(engine: Engine, statement: str) -> None:
    with transaction(engine) as session:
        session.execute(text(statement))
        raise ZeroDivisionError


def test_a_block_that_raises_keeps_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after(engine, "INSERT INTO notes (name, count) VALUES ('lost', 0)")
    assert read(engine, "lost") is None


def test_schema_changes_of_a_failed_block_are_undone_on_sqlite(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/notes.db")
    with pytest.raises(ZeroDivisionError):
        fail_after(engine, "CREATE TABLE half (id INTEGER)")
    with transaction(engine) as session:
        assert session.scalars(text("SELECT name FROM sqlite_master")).all() == []
    engine.dispose()


def test_times_come_back_in_utc_to_the_microsecond(engine: Engine) -> None:
    at = datetime(2026, 7, 1, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=5)))
    with transaction(engine) as session:
        session.add(Note(name="time", at=at))
    note = read(engine, "time")
    assert note is not None
    assert note.at == at
    assert note.at.tzinfo is UTC


def test_times_without_a_zone_are_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="without a zone"), transaction(engine) as session:
        session.add(Note(name="naive", at=datetime(2026, 7, 1)))


def test_times_are_compared_as_times(engine: Engine) -> None:
    with transaction(engine) as session:
        session.add_all([Note(name=f"{minutes}", at=now() + timedelta(minutes=minutes)) for minutes in (-1, 1)])
    with transaction(engine) as session:
        assert session.scalars(select(Note.name).where(Note.at < now())).all() == ["-1"]


def test_text_is_compared_as_it_is_and_holds_every_character(engine: Engine) -> None:
    names = ["a", "A", "ä", "\U0001f600"]
    with transaction(engine) as session:
        session.add_all([Note(name=name) for name in names])
    with transaction(engine) as session:
        assert sorted(session.scalars(select(Note.name))) == sorted(names)


def test_transactions_that_read_and_then_write_lose_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        session.add(Note(name="counter"))
    together = Barrier(4)

    def count(_: int) -> None:
        together.wait(timeout=10)
        for _ in range(5):
            with transaction(engine) as session:
                session.get_one(Note, "counter", with_for_update=True).count += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    note = read(engine, "counter")
    assert note is not None
    assert note.count == 20


def test_a_broken_rule_is_not_an_absence(engine: Engine) -> None:
    with transaction(engine) as session:
        session.add(Note(name="twice"))
    with pytest.raises(IntegrityError), transaction(engine) as session:
        session.add(Note(name="twice"))


@pytest.mark.parametrize("statement", ["UPDATE notes SET colour = 'red'", "UPDATE notes SET name = WHATEVER(name)"])
def test_a_statement_that_never_works_is_not_an_absence(engine: Engine, statement: str) -> None:
    with pytest.raises(OperationalError), transaction(engine) as session:
        session.execute(text(statement))
    ping(engine)


@pytest.mark.servers
@pytest.mark.parametrize("facts", ["Infinity", "{", '{"peak": NaN}'])
def test_data_that_mysql_refuses_is_not_an_absence(mysql_url: str, facts: str) -> None:
    engine = connect(mysql_url)
    Base.metadata.create_all(engine)
    with pytest.raises(OperationalError), transaction(engine) as session:
        session.execute(text("INSERT INTO notes (name, count, facts) VALUES ('odd', 0, :facts)"), {"facts": facts})
    ping(engine)
    engine.dispose()


def wait_for_lock(engine: Engine, name: str) -> None:
    with transaction(engine) as session:
        session.execute(text("SET innodb_lock_wait_timeout = 1"))
        session.get_one(Note, name, with_for_update=True)


@pytest.mark.servers
def test_a_lock_that_takes_too_long_and_a_query_that_was_ended_are_absences(mysql_url: str) -> None:
    engine = connect(mysql_url)
    Base.metadata.create_all(engine)
    with transaction(engine) as session:
        session.add(Note(name="held"))
    with transaction(engine) as session:
        session.get_one(Note, "held", with_for_update=True)
        with pytest.raises(Unavailable):
            wait_for_lock(engine, "held")
    with pytest.raises(Unavailable), transaction(engine) as session:
        session.execute(text("KILL QUERY CONNECTION_ID()"))
    engine.dispose()


@pytest.mark.parametrize("peak", [float("inf"), float("-inf"), float("nan")])
def test_figures_that_json_does_not_have_are_refused(engine: Engine, peak: float) -> None:
    with pytest.raises(StatementError, match="not JSON compliant"), transaction(engine) as session:
        session.add(Note(name="odd", facts={"peak": peak}))
    assert read(engine, "odd") is None


def test_a_locked_sqlite_is_unavailable_in_bounded_time(tmp_path: Path) -> None:
    engines = [connect(f"sqlite:///{tmp_path}/notes.db", seconds=1) for _ in range(2)]
    with transaction(engines[0]) as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(Unavailable):
            ping(engines[1])
    ping(engines[1])
    for engine in engines:
        engine.dispose()


def test_sqlite_keeps_what_it_committed_and_minds_references(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/notes.db")
    with transaction(engine) as session:
        pragmas = [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert pragmas == ["wal", 2, 1]
    engine.dispose()


@pytest.mark.servers
def test_a_statement_that_takes_too_long_is_unavailable_and_the_next_one_is_not(mysql_url: str) -> None:
    engine = connect(mysql_url, seconds=1)
    with pytest.raises(Unavailable), transaction(engine) as session:
        session.execute(text("SELECT SLEEP(8)"))
    ping(engine)
    engine.dispose()


@pytest.mark.servers
def test_mysql_reads_what_others_committed_meanwhile(mysql_url: str) -> None:
    engine = connect(mysql_url)
    with transaction(engine) as session:
        assert session.scalar(text("SELECT @@tx_isolation")) == "READ-COMMITTED"
        assert session.scalar(text("SELECT @@character_set_client")) == "utf8mb4"
    engine.dispose()


@pytest.mark.servers
def test_a_connection_the_server_closed_is_replaced(mysql_url: str) -> None:
    engine, other = connect(mysql_url), connect(mysql_url)
    with transaction(engine) as session:
        connection_id = session.scalar(text("SELECT CONNECTION_ID()"))
    with transaction(other) as session:
        session.execute(text(f"KILL {connection_id}"))
    ping(engine)
    engine.dispose()
    other.dispose()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "postgresql://a:secret@b/c", "mysql+mysqldb://a:se@c:ret@b:x/"]
)
def test_other_urls_are_refused_without_telling_them(url: str) -> None:
    with pytest.raises(ValueError, match="database") as refused:
        connect(url)
    assert "se" not in str(refused.value).replace("base", "")


def test_no_server_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        ping(connect("mysql+mysqldb://nobody:nothing@127.0.0.1:9/none"))
