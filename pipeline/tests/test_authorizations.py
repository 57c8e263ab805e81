from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from sqlalchemy import Engine, func, select, update

from pipeline.authorizations import MOST, SECONDS, Authorizations, expire_authorizations
from pipeline.catalog import AuthorizationRow
from pipeline.database import now, transaction
from pipeline.tests.makers import OWNER

STRANGER = "b" * 32


def begin(catalog: Engine, owner: str = OWNER, browser: str = "a browser") -> str:
    return Authorizations(catalog).begin(owner, browser, "sealed", {"folders": ["/a"]})[0]


def count(catalog: Engine) -> int:
    with transaction(catalog) as session:
        return session.scalar(select(func.count()).select_from(AuthorizationRow)) or 0


def expire(catalog: Engine) -> None:
    with transaction(catalog) as session:
        session.execute(update(AuthorizationRow).values(expires_at=now() - timedelta(seconds=1)))


def test_the_browser_that_began_goes_to_the_end_once(catalog: Engine) -> None:
    authorizations = Authorizations(catalog)
    state, end = authorizations.begin(OWNER, "a browser", "sealed", {"folders": ["/a"]}, "c" * 32)
    assert SECONDS - 60 < (end - now()).total_seconds() <= SECONDS
    assert authorizations.by_browser(state, "another") is None
    found = authorizations.by_browser(state, "a browser")
    assert found
    assert (found.owner, found.verifier, found.asked) == (OWNER, "sealed", {"folders": ["/a"]})
    assert found.connection_id == "c" * 32
    assert authorizations.by_browser(state, "a browser") is None
    assert authorizations.by_owner(state, OWNER) is None


def test_who_began_goes_to_the_end_without_the_browser_and_nobody_else(catalog: Engine) -> None:
    authorizations, state = Authorizations(catalog), begin(catalog)
    assert authorizations.by_owner(state, STRANGER) is None
    assert authorizations.is_open(state)
    assert authorizations.by_owner(state, OWNER)
    assert not authorizations.is_open(state)


def test_of_two_who_come_at_once_one_is_let_in(catalog: Engine) -> None:
    state, start = begin(catalog), Barrier(2)

    def take(_: int) -> bool:
        start.wait(10)
        return Authorizations(catalog).by_browser(state, "a browser") is not None

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(take, range(2))) == [False, True]


def test_it_is_good_for_a_while_only(catalog: Engine) -> None:
    authorizations, state = Authorizations(catalog), begin(catalog)
    expire(catalog)
    assert authorizations.by_browser(state, "a browser") is None
    assert authorizations.by_owner(state, OWNER) is None
    assert not authorizations.is_open(state)
    assert count(catalog) == 1


def test_the_catalog_has_nothing_that_opens_one(catalog: Engine) -> None:
    state = begin(catalog)
    with transaction(catalog) as session:
        row = session.scalars(select(AuthorizationRow)).one()
    assert len(row.state) == len(row.browser) == 64
    assert state not in str(vars(row))
    assert "a browser" not in str(vars(row))


def test_a_user_is_on_so_many_ways_at_a_time(catalog: Engine) -> None:
    first, others = begin(catalog), begin(catalog, STRANGER)
    later = [begin(catalog) for _ in range(MOST)]
    open_still = [Authorizations(catalog).is_open(state) for state in (first, *later, others)]
    assert open_still == [False, *[True] * (MOST + 1)]


def test_late_ones_go_in_small_steps(catalog: Engine) -> None:
    for _ in range(3):
        begin(catalog)
    expire(catalog)
    kept = begin(catalog)
    assert [expire_authorizations(catalog, 2) for _ in range(3)] == [2, 1, 0]
    assert Authorizations(catalog).is_open(kept)
