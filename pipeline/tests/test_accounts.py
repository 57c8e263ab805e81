from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier, Event

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select, update

from dev.waiting import eventually
from pipeline.__main__ import main
from pipeline.accounts import Accounts, Limits, QuotaExceeded, Use
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import ReservationRow, UploadRow, UsageRow
from pipeline.database import now, transaction
from pipeline.jobs import Jobs
from pipeline.tests.makers import OWNER, a_recording, work_through
from pipeline.uploads import Uploads

STRANGER = "b" * 32
INSTANT = timedelta(microseconds=1)


def used(catalog: Engine, at: datetime, size: int = 0, seconds: float = 0.0, owner: str = OWNER) -> None:
    with transaction(catalog) as session:
        session.add(UsageRow(owner=owner, at=at, bytes=size, seconds=seconds))


def today() -> datetime:
    return now().replace(hour=0, minute=0, second=0, microsecond=0)


def refused(catalog: Engine, asked: int = 1, **limits: int) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refusal:
        Accounts(catalog, Limits(**limits)).admit(OWNER, asked)
    return refusal.value


def test_without_limits_everything_may_come(catalog: Engine, store: DirectoryBlobs) -> None:
    a_recording(catalog, store)
    assert Accounts(catalog).admit(OWNER, 2**50) >= 2**50


def test_who_may_come_is_told_how_many_bytes_fit(catalog: Engine, store: DirectoryBlobs) -> None:
    a_recording(catalog, store, b"12345")
    assert Accounts(catalog, Limits(stored_bytes=12, day_bytes=9)).admit(OWNER, 0) == 4
    assert Accounts(catalog, Limits(stored_bytes=7, day_bytes=9)).admit(OWNER, 2) == 2


def test_a_new_user_has_used_nothing(catalog: Engine, store: DirectoryBlobs) -> None:
    a_recording(catalog, store, owner=STRANGER)
    assert Accounts(catalog).use(OWNER) == Use(0, 0, 0, 0, 0, 0)


def test_what_is_kept_is_limited_and_deleting_makes_room(catalog: Engine, store: DirectoryBlobs) -> None:
    job = a_recording(catalog, store, b"12345")
    accounts = Accounts(catalog, Limits(stored_bytes=12))
    accounts.admit(OWNER, 7)
    refusal = refused(catalog, 8, stored_bytes=12)
    assert (refusal.quota, refusal.limit, refusal.used, refusal.asked) == ("stored_bytes", 12, 5, 8)
    assert refusal.seconds is None, "waiting does not help"
    Jobs(catalog).delete(OWNER, job.id)
    accounts.admit(OWNER, 12)


def test_a_body_of_unknown_length_needs_some_room(catalog: Engine, store: DirectoryBlobs) -> None:
    a_recording(catalog, store, b"12345")
    Accounts(catalog, Limits(stored_bytes=6)).admit(OWNER, 0)
    assert refused(catalog, 0, stored_bytes=5).quota == "stored_bytes"


def test_bytes_that_jobs_share_count_once_and_everything_made_counts(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store, b"12345"))
    before = Accounts(catalog).use(OWNER).stored_bytes
    assert before == sum(blob.bytes for blob in store.list()) > 5
    assert a_recording(catalog, store, b"12345").reused
    a_recording(catalog, store, b"12345", formats="txt")
    assert Accounts(catalog).use(OWNER).stored_bytes == before
    a_recording(catalog, store, b"12345", owner=STRANGER)
    assert Accounts(catalog).use(STRANGER).stored_bytes == 5


def test_uploads_of_a_day_count_though_their_jobs_are_deleted(catalog: Engine, store: DirectoryBlobs) -> None:
    job = a_recording(catalog, store, b"12345")
    a_recording(catalog, store, b"12345")
    Jobs(catalog).delete(OWNER, job.id)
    refusal = refused(catalog, 3, day_bytes=12)
    assert (refusal.quota, refusal.limit, refusal.used, refusal.asked) == ("day_bytes", 12, 10, 3)
    Accounts(catalog, Limits(day_bytes=12)).admit(OWNER, 2)


def test_a_day_begins_at_midnight(catalog: Engine) -> None:
    used(catalog, today() - INSTANT, size=10)
    assert Accounts(catalog).use(OWNER).day_bytes == 0
    used(catalog, today(), size=7)
    used(catalog, today(), size=100, owner=STRANGER)
    refusal = refused(catalog, 4, day_bytes=10)
    left = (today() + timedelta(days=1) - now()).total_seconds()
    assert refusal.used == 7
    assert refusal.seconds == pytest.approx(left, abs=5)


def test_a_month_begins_on_its_first_day(catalog: Engine) -> None:
    first = today().replace(day=1)
    used(catalog, first - INSTANT, seconds=6000)
    assert Accounts(catalog).use(OWNER).month_minutes == 0
    used(catalog, first, seconds=119)
    Accounts(catalog, Limits(month_minutes=2)).admit(OWNER, 1)
    used(catalog, now(), seconds=1)
    used(catalog, now(), seconds=6000, owner=STRANGER)
    refusal = refused(catalog, month_minutes=2)
    next_month = (first + timedelta(days=32)).replace(day=1)
    assert (refusal.quota, refusal.limit, refusal.used) == ("month_minutes", 2, 2)
    assert refusal.seconds == pytest.approx((next_month - now()).total_seconds(), abs=5)


def test_minutes_are_those_worked_on(catalog: Engine, store: DirectoryBlobs) -> None:
    for content in (b"1", b"2"):
        work_through(catalog, store, a_recording(catalog, store, content))
    assert Accounts(catalog).use(OWNER).month_minutes == 3
    assert a_recording(catalog, store, b"1").reused
    assert Accounts(catalog).use(OWNER).month_minutes == 3, "what was there already costs none"


def test_jobs_at_a_time_are_those_that_have_not_ended(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store, b"1"))
    Jobs(catalog).cancel(OWNER, a_recording(catalog, store, b"2").id)
    a_recording(catalog, store, b"3")
    a_recording(catalog, store, b"4", owner=STRANGER)
    Accounts(catalog, Limits(jobs=2)).admit(OWNER, 1)
    refusal = refused(catalog, jobs=1)
    assert (refusal.quota, refusal.limit, refusal.used, refusal.asked) == ("jobs", 1, 1, 1)
    assert refusal.seconds, "it helps to wait"


def test_a_users_own_limits_go_before_the_installations(catalog: Engine) -> None:
    accounts = Accounts(catalog, Limits(stored_bytes=10, jobs=5))
    assert accounts.change(OWNER, stored_bytes=100, keep_result_days=3) == Limits(100, None, 5, None, None, 3)
    assert accounts.change(OWNER, jobs=0).stored_bytes == 100, "what is not named stays"
    assert accounts.limits(OWNER).jobs == 0
    accounts.admit(STRANGER, 10)
    with pytest.raises(QuotaExceeded):
        accounts.admit(OWNER, 10)
    assert accounts.change(OWNER, stored_bytes=None, jobs=None) == Limits(10, None, 5, None, None, 3)
    assert accounts.limits(STRANGER) == Limits(stored_bytes=10, jobs=5)


def test_of_uploads_at_the_same_time_each_finds_the_others(catalog: Engine) -> None:
    accounts = Accounts(catalog, Limits(stored_bytes=10))
    together, over = Barrier(6, timeout=20), Event()

    def come(_number: int) -> bool:
        together.wait()
        try:
            with accounts.admitted(OWNER, 4, 100):
                over.wait(30)
                return True
        except QuotaExceeded:
            return False

    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(come, number) for number in range(6)]
        eventually(lambda: sum(answer.done() for answer in answers) == 4)
        over.set()
    assert sum(answer.result() for answer in answers) == 2
    assert accounts.admit(OWNER, 10) == 10, "what has come or gone holds no room"


def test_an_upload_that_does_not_say_how_long_it_is_takes_what_there_is(catalog: Engine) -> None:
    accounts = Accounts(catalog, Limits(stored_bytes=10, jobs=2))
    with accounts.admitted(OWNER, None, 7) as room:
        assert (room, accounts.admit(OWNER, 0)) == (10, 3)
        with accounts.admitted(OWNER, 1, 7), pytest.raises(QuotaExceeded, match="jobs"):
            accounts.admit(OWNER, 1)


def test_the_room_of_an_upload_whose_gateway_died_is_given_back(catalog: Engine) -> None:
    accounts = Accounts(catalog, Limits(stored_bytes=10))
    with transaction(catalog) as session:
        session.add(ReservationRow(id="1" * 32, owner=OWNER, bytes=9, until=now() - timedelta(seconds=1)))
    with accounts.admitted(OWNER, 10, 100), transaction(catalog) as session:
        assert [row.bytes for row in session.scalars(select(ReservationRow))] == [10]


def test_an_upload_that_nobody_ends_gives_its_room_back(catalog: Engine) -> None:
    accounts = Accounts(catalog, Limits(stored_bytes=10, jobs=1))
    uploads = Uploads(catalog, hours=1)
    upload = uploads.create(OWNER, 9, "")
    assert refused(catalog, 2, stored_bytes=10).used == 9
    assert refused(catalog, 1, jobs=1).used == 1
    with transaction(catalog) as session:
        session.execute(update(UploadRow).where(UploadRow.id == upload.id).values(expires_at=now()))
    assert accounts.admit(OWNER, 10) == 10


def test_mails_to_others_are_counted_by_the_day(catalog: Engine) -> None:
    accounts = Accounts(catalog, Limits(day_mails=3))
    with transaction(catalog) as session:
        session.add(UsageRow(owner=OWNER, mails=2))
        session.add(UsageRow(owner=OWNER, at=today() - timedelta(seconds=1), mails=50))
    accounts.admit_mails(OWNER, 1)
    accounts.admit_mails(OWNER, 0)
    with pytest.raises(QuotaExceeded) as refusal:
        accounts.admit_mails(OWNER, 2)
    assert (refusal.value.quota, refusal.value.limit, refusal.value.used, refusal.value.asked) == ("day_mails", 3, 2, 2)


def limits(catalog: Engine, *arguments: str) -> Result:
    environment = {
        "SPOOL_DATABASE_URL": catalog.url.render_as_string(hide_password=False),
        "SPOOL_QUOTA_JOBS": "5",
    }
    return CliRunner().invoke(main, ["limits", *arguments], env=environment)


def test_the_command_shows_and_changes_limits(catalog: Engine, store: DirectoryBlobs) -> None:
    a_recording(catalog, store, b"12345")
    shown = limits(catalog, OWNER).output.splitlines()
    assert [line.split(maxsplit=1) for line in shown] == [
        ["stored-bytes", "no limit, used 5"],
        ["day-bytes", "no limit, used 5"],
        ["jobs", "5, used 1"],
        ["month-minutes", "no limit, used 0"],
        ["keep-original-days", "no limit"],
        ["keep-result-days", "no limit"],
        ["day-mails", "100, used 0"],
        ["day-speech-minutes", "no limit, used 0"],
    ]
    limits(catalog, OWNER, "--stored-bytes", "1000", "--jobs", "0", "--keep-result-days", "9")
    assert Accounts(catalog).limits(OWNER) == Limits(stored_bytes=1000, jobs=0, keep_result_days=9)
    changed = limits(catalog, OWNER, "--jobs", "default")
    assert "5, used 1" in changed.output
    assert Accounts(catalog).limits(OWNER) == Limits(stored_bytes=1000, keep_result_days=9)


@pytest.mark.parametrize(
    "arguments",
    [("ada@example.org",), (OWNER, "--jobs", "-1"), (OWNER, "--jobs", "many"), (OWNER, "--keep-result-days", "0")],
)
def test_the_command_refuses_what_cannot_be(catalog: Engine, arguments: tuple[str, ...]) -> None:
    assert limits(catalog, *arguments).exit_code == 2
    assert Accounts(catalog).limits(OWNER) == Limits()
