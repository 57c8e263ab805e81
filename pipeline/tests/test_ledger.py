"""What a speech service costs is noted first, and has bounds: calls of a part, minutes of a day."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from pipeline.accounts import Accounts, Limits
from pipeline.catalog import UsageRow
from pipeline.database import now, transaction
from pipeline.errors import Interrupted, Reject
from pipeline.jobs import Jobs
from pipeline.ledger import MOST_CALLS, Ledger
from pipeline.messages import Message
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, a_job
from pipeline.work import Task

HOUR = Limits(day_speech_minutes=60)


def claimed(catalog: Engine, message: Message) -> Task:
    task = Tasks(catalog).claim(message.task_id, "worker")
    assert task is not None
    return task


def a_task(catalog: Engine, owner: str = OWNER) -> Task:
    return claimed(catalog, a_job(catalog, owner=owner)[1])


def again(catalog: Engine, task: Task) -> Task:
    """The next attempt at it, after a trouble."""
    Tasks(catalog).retry(task, "The speech service is busy or out of order.", delay=0)
    (message,) = [message for message in Tasks(catalog).unpublished(0) if message.task_id == task.id]
    return claimed(catalog, message)


def run_again(catalog: Engine, task: Task) -> Task:
    """As its owner does, after it failed or was cancelled."""
    found = Jobs(catalog).retry(OWNER, task.job_id)
    assert found is not None
    return claimed(catalog, found[1][0])


def minutes(catalog: Engine, owner: str = OWNER) -> int:
    return Accounts(catalog).use(owner).day_speech_minutes


def refused(catalog: Engine, task: Task, seconds: float, limits: Limits = HOUR) -> str:
    with pytest.raises(Reject) as refusal:
        Ledger(catalog, limits).book(task, seconds)
    return refusal.value.reason


def test_what_is_booked_is_used(catalog: Engine) -> None:
    Ledger(catalog).book(a_task(catalog), 90)
    Ledger(catalog).book(a_task(catalog), 45)
    Ledger(catalog).book(a_task(catalog, "b" * 32), 600)
    assert minutes(catalog) == 2


def test_a_task_is_booked_once(catalog: Engine) -> None:
    task = a_task(catalog)
    Ledger(catalog, HOUR).book(task, 2400)
    Ledger(catalog, HOUR).book(again(catalog, task), 2400)
    assert minutes(catalog) == 40


def test_what_was_broken_off_does_not_count_and_stays_booked(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    assert [ledger.call(task, 60) for _ in range(2)] == [1, 2]
    ledger.excuse(task)
    assert (ledger.call(task, 60), minutes(catalog)) == (2, 2)


def test_what_was_broken_off_before_its_owner_ran_it_again_is_forgotten_once(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    ledger.call(task, 60)
    Jobs(catalog).cancel(OWNER, task.job_id)
    anew = run_again(catalog, task)
    ledger.excuse(task)
    assert ledger.call(anew, 60) == 1


def test_all_of_the_budget_may_be_used(catalog: Engine) -> None:
    Ledger(catalog, HOUR).book(a_task(catalog), 1800)
    Ledger(catalog, HOUR).book(a_task(catalog), 1800)
    assert "60 are used" in refused(catalog, a_task(catalog), 1)


def test_a_refusal_says_what_there_is_and_when_there_is_more(catalog: Engine) -> None:
    Ledger(catalog, HOUR).book(a_task(catalog), 2730)
    assert refused(catalog, a_task(catalog), 1800) == (
        "You may have 60 minutes of audio a day sent to the speech service; 45.5 are used today, and this needs 30. "
        "They are free again at midnight UTC; run the job again then."
    )
    assert minutes(catalog) == 45, "what is refused is not booked"


def test_what_no_day_has_room_for_is_not_put_off(catalog: Engine) -> None:
    reason = refused(catalog, a_task(catalog), 3601)
    assert "midnight" not in reason
    assert "ask whoever runs this server" in reason


def test_yesterdays_minutes_are_free_again(catalog: Engine) -> None:
    yesterday = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
    with transaction(catalog) as session:
        session.add(UsageRow(owner=OWNER, at=yesterday, speech_seconds=3600))
    Ledger(catalog, HOUR).book(a_task(catalog), 3600)


def test_what_an_account_says_goes_before_the_default(catalog: Engine) -> None:
    Accounts(catalog).change(OWNER, day_speech_minutes=120)
    Ledger(catalog, HOUR).book(a_task(catalog), 7200)
    Accounts(catalog).change(OWNER, day_speech_minutes=0)
    assert "You may have 0 minutes" in refused(catalog, a_task(catalog), 1, Limits())


def test_of_bookings_at_once_no_more_pass_than_there_is_room_for(catalog: Engine) -> None:
    def passes(task: Task) -> bool:
        try:
            Ledger(catalog, HOUR).book(task, 1200)
        except Reject:
            return False
        return True

    tasks = [a_task(catalog) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(passes, tasks)) == 3
    assert minutes(catalog) == 60


def test_attempts_at_once_book_their_task_once(catalog: Engine) -> None:
    task = a_task(catalog)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: Ledger(catalog).book(task, 600), range(4)))
    assert minutes(catalog) == 10


def test_all_calls_but_the_first_are_booked_by_themselves(catalog: Engine) -> None:
    ledger, task = Ledger(catalog, HOUR), a_task(catalog)
    ledger.book(task, 600)
    ledger.call(task, 600)
    assert minutes(catalog) == 10
    ledger.call(task, 600)
    ledger.call(again(catalog, task), 600)
    assert minutes(catalog) == 30


def test_a_call_that_the_budget_has_no_room_for_is_not_made(catalog: Engine) -> None:
    ledger, task = Ledger(catalog, HOUR), a_task(catalog)
    ledger.book(task, 2400)
    ledger.call(task, 2400)
    with pytest.raises(Reject, match="40 are used today, and this needs 40"):
        ledger.call(task, 2400)


def test_calls_have_an_end_which_says_why(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    for number in range(MOST_CALLS):
        assert task.calls == number
        assert ledger.call(task, 1) == number + 1
        task = again(catalog, task)
    with pytest.raises(Reject) as refusal:
        ledger.call(task, 1)
    assert refusal.value.reason == (
        "The speech service was asked 5 times for this part and never gave a whole answer: "
        "The speech service is busy or out of order."
    )
    assert task.failures == MOST_CALLS


def test_calls_of_one_attempt_have_an_end_too(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    for _ in range(MOST_CALLS):
        ledger.call(task, 1)
    with pytest.raises(Reject, match=r"never gave a whole answer\.$"):
        ledger.call(task, 1)


def test_calls_at_once_are_all_counted(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ledger.call(task, 60), range(4)))
    assert again(catalog, task).calls == 4
    assert minutes(catalog) == 3


def test_a_call_that_was_not_taken_costs_nothing(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    for _ in range(2 * MOST_CALLS):
        ledger.call(task, 600)
        ledger.take_back(task)
    ledger.call(task, 600)
    ledger.call(task, 600)
    ledger.call(task, 600)
    ledger.take_back(task)
    assert again(catalog, task).calls == 2
    assert minutes(catalog) == 10


def test_what_was_never_called_cannot_be_taken_back(catalog: Engine) -> None:
    task = a_task(catalog)
    Ledger(catalog).take_back(task)
    assert again(catalog, task).calls == 0


def test_who_runs_a_job_again_has_its_calls_anew(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    for _ in range(MOST_CALLS):
        ledger.call(task, 60)
    Tasks(catalog).reject(task, "No.")
    task = run_again(catalog, task)
    assert task.calls == 0
    assert [ledger.call(task, 60) for _ in range(MOST_CALLS)] == [1, 2, 3, 4, 5]
    with pytest.raises(Reject, match="asked 5 times"):
        ledger.call(task, 60)
    assert minutes(catalog) == 2 * MOST_CALLS - 1, "only the very first is paid for by what was booked for the whole"


def test_who_cancels_and_runs_again_pays_for_each_round(catalog: Engine) -> None:
    ledger, task = Ledger(catalog, HOUR), a_task(catalog)
    ledger.book(task, 1200)
    for spent in (20, 40, 60):
        ledger.call(task, 1200)
        assert minutes(catalog) == spent
        Jobs(catalog).cancel(OWNER, task.job_id)
        task = run_again(catalog, task)
    with pytest.raises(Reject, match="60 are used today, and this needs 20"):
        ledger.call(task, 1200)


def test_who_runs_again_on_another_day_pays_on_that_day(catalog: Engine) -> None:
    ledger, task = Ledger(catalog, HOUR), a_task(catalog)
    ledger.book(task, 3000)
    ledger.call(task, 3000)
    Tasks(catalog).reject(task, "No.")
    with transaction(catalog) as session:
        session.execute(update(UsageRow).values(at=now() - timedelta(days=1)))
    assert minutes(catalog) == 0
    ledger.call(run_again(catalog, task), 3000)
    assert minutes(catalog) == 50


def test_a_call_that_was_not_taken_before_a_job_was_run_again_is_none(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    ledger.call(task, 600)
    Jobs(catalog).cancel(OWNER, task.job_id)
    anew = run_again(catalog, task)
    ledger.take_back(task)
    assert [ledger.call(anew, 600), ledger.call(anew, 600)] == [1, 2]
    assert minutes(catalog) == 10


def test_for_a_job_that_was_deleted_nothing_is_sent(catalog: Engine) -> None:
    ledger, task = Ledger(catalog), a_task(catalog)
    assert Jobs(catalog).delete(OWNER, task.job_id)
    for note in (ledger.book, ledger.call):
        with pytest.raises(Interrupted):
            note(task, 1)
    ledger.take_back(task)
    assert minutes(catalog) == 0
