from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from time import thread_time

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, select, update

from auth import brake
from auth.tables import BrakeRow, UserRow
from auth.users import EmailTaken, Users, UserUnknown, WrongPassword
from pipeline.database import connect, now, transaction
from pipeline.errors import Unavailable


def fail(users: Users, email: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            users.verify(email, "wrong")


def stored_hash(engine: Engine, email: str) -> str:
    with transaction(engine) as session:
        return session.scalars(select(UserRow.password_hash).where(UserRow.email == email)).one()


def test_a_user_signs_in_with_the_address_in_any_case(users: Users, email: str) -> None:
    added = users.add(f" {email.upper()} ", "correct horse")
    assert users.verify(email.title(), "correct horse") == added
    assert added.email == email
    assert len(added.id) == 32


def test_a_wrong_password_and_an_unknown_address_are_refused_alike(users: Users, email: str) -> None:
    users.add(email, "correct horse")
    for address in (email, f"no-{email}", "not an address", ""):
        with pytest.raises(WrongPassword):
            users.verify(address, "battery staple")


def test_an_unknown_address_costs_as_much_time_as_a_wrong_password(engine: Engine, email: str) -> None:
    users = Users(engine, PasswordHasher(time_cost=4, memory_cost=32 * 1024, parallelism=1))
    users.add(email, "correct horse")

    def seconds(address: str) -> float:
        """Of work: waits, also for a processor, are left out."""
        began = thread_time()
        fail(users, address, 1)
        return thread_time() - began

    assert min(seconds(f"no-{email}") for _ in range(4)) > 0.5 * min(seconds(email) for _ in range(4))


def test_addresses_are_taken_once_also_by_two_at_once(users: Users, email: str) -> None:
    def add(_: int) -> bool:
        try:
            users.add(email, "correct horse")
        except EmailTaken:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(4))) == [False, False, False, True]


def test_addresses_that_differ_in_an_accent_are_two(users: Users, email: str) -> None:
    assert users.add(f"e{email}", "correct horse") != users.add(f"é{email}", "correct horse")


@pytest.mark.parametrize("address", ["", "name", "@", "a b@c", "a@b@c", "a@b\x00", "a@" + "b" * 253])
def test_malformed_addresses_are_not_added(users: Users, address: str) -> None:
    with pytest.raises(ValueError, match="not an e-mail address"):
        users.add(address, "correct horse")


def test_an_empty_password_is_not_taken(users: Users, email: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        users.add(email, "")
    users.add(email, "correct horse")
    with pytest.raises(ValueError, match="empty"):
        users.set_password(email, "")


def test_ensure_adds_once_and_then_sees_to_the_password(engine: Engine, users: Users, email: str) -> None:
    first = users.ensure(email, "one")
    before = stored_hash(engine, email)
    assert users.ensure(email, "one") == first
    assert stored_hash(engine, email) == before
    assert users.ensure(email, "two") == first
    assert users.verify(email, "two") == first


def test_a_hash_with_older_parameters_is_renewed_at_sign_in(engine: Engine, users: Users, email: str) -> None:
    users.add(email, "correct horse")
    stronger = Users(engine, PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    stronger.verify(email, "correct horse")
    assert "m=16,t=2,p=1" in stored_hash(engine, email)
    stronger.verify(email, "correct horse")


def test_hashes_are_argon2id(engine: Engine, users: Users, email: str) -> None:
    users.add(email, "correct horse")
    assert stored_hash(engine, email).startswith("$argon2id$")


def test_a_new_password_replaces_the_old_one(users: Users, email: str) -> None:
    users.add(email, "one")
    users.set_password(email, "two")
    users.verify(email, "two")
    fail(users, email, 1)


def test_a_removed_user_is_gone(users: Users, email: str) -> None:
    user = users.add(email, "correct horse")
    assert user in users.list()
    users.remove(email)
    assert user not in users.list()
    with pytest.raises(WrongPassword):
        users.verify(email, "correct horse")
    for change in (partial(users.remove, email), partial(users.set_password, email, "x")):
        with pytest.raises(UserUnknown):
            change()


def test_after_many_wrong_passwords_none_is_looked_at_for_a_short_while(
    engine: Engine, users: Users, email: str
) -> None:
    users.add(email, "correct horse")
    fail(users, email, brake.FAILURES)
    with pytest.raises(brake.TooManyFailures) as refused:
        users.verify(email, "correct horse")
    assert 0 < refused.value.seconds <= brake.WINDOW.total_seconds() <= 30
    with transaction(engine) as session:
        session.execute(update(BrakeRow).values(until=now()))
    users.verify(email, "correct horse")
    fail(users, email, brake.FAILURES)


def test_the_window_begins_with_the_first_failure_and_does_not_move(engine: Engine, users: Users, email: str) -> None:
    fail(users, email, 1)
    with transaction(engine) as session:
        session.execute(update(BrakeRow).where(BrakeRow.failures > 0).values(until=now() + timedelta(seconds=20)))
    fail(users, email, brake.FAILURES - 1)
    with pytest.raises(brake.TooManyFailures) as refused:
        users.verify(email, "wrong")
    assert refused.value.seconds <= 20 < brake.WINDOW.total_seconds()


def test_unknown_addresses_are_slowed_like_known_ones(users: Users, email: str) -> None:
    fail(users, email, brake.FAILURES)
    with pytest.raises(brake.TooManyFailures):
        users.verify(email, "wrong")


def test_failures_at_once_are_all_counted(users: Users, email: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fail(users, email, 2), range(5)))
    with pytest.raises(brake.TooManyFailures):
        users.verify(email, "wrong")


def test_right_passwords_are_never_slowed(users: Users, email: str) -> None:
    users.add(email, "correct horse")
    for _ in range(2 * brake.FAILURES):
        users.verify(email, "correct horse")


def test_a_database_that_is_away_is_unavailable() -> None:
    users = Users(connect("mysql+mysqldb://nobody:nothing@127.0.0.1:9/none"))
    with pytest.raises(Unavailable):
        users.verify("a@example.com", "x")
