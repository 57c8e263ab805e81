"""Owners take turns at what is shared: whichever message comes, it is for the one whose turn it is."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, select, update

from pipeline.catalog import JobRow, TaskRow
from pipeline.database import now, transaction
from pipeline.jobs import Jobs
from pipeline.messages import Message
from pipeline.tasks import Tasks
from pipeline.tests.makers import a_job
from pipeline.tests.stores import just_before
from pipeline.turns import RECENT
from pipeline.work import NextTask, Result, Task

ADA, BOB, EVE = "a" * 32, "b" * 32, "e" * 32


@pytest.fixture
def tasks(catalog: Engine) -> Tasks:
    return Tasks(catalog)


def claim(tasks: Tasks, message: Message) -> Task | None:
    return tasks.claim(message.task_id, "worker", message.kind)


def claimed(tasks: Tasks, message: Message) -> Task:
    task = claim(tasks, message)
    assert task is not None
    return task


def in_parts(tasks: Tasks, owner: str, parts: int) -> list[Message]:
    """A recording of which so many parts wait to be transcribed, and whose messages are out."""
    _, message = a_job(tasks.engine, owner=owner)
    (message,) = tasks.finish(claimed(tasks, message), Result(next=[NextTask("cut")]))
    following = [NextTask("transcribe", part, {"part": part}) for part in range(parts)]
    messages = tasks.finish(claimed(tasks, message), Result(next=following))
    tasks.published(messages)
    return messages


def owners(tasks: Tasks, claims: Sequence[Task]) -> str:
    """Their initials."""
    with transaction(tasks.engine) as session:
        return "".join(session.get_one(JobRow, task.job_id).owner[0] for task in claims)


def test_a_long_recording_holds_up_anothers_short_one_by_one_turn(tasks: Tasks) -> None:
    long = in_parts(tasks, ADA, 20)
    first = claimed(tasks, long[0])
    short = in_parts(tasks, BOB, 1)
    second, third = claimed(tasks, long[1]), claimed(tasks, long[2])
    assert owners(tasks, [first, second, third]) == "aba"
    assert second.id == short[0].task_id


def test_of_whom_fewest_run_is_served_first(tasks: Tasks) -> None:
    messages = [*in_parts(tasks, ADA, 6), *in_parts(tasks, BOB, 6), *in_parts(tasks, EVE, 2)]
    first = [claimed(tasks, message) for message in messages[:3]]
    assert owners(tasks, first) == "abe"
    tasks.finish(first[1], Result())
    assert owners(tasks, [claimed(tasks, messages[3])]) == "b"
    assert sorted(owners(tasks, [claimed(tasks, message) for message in messages[4:7]])) == ["a", "b", "e"]


def test_where_as_many_run_it_goes_round(tasks: Tasks) -> None:
    messages = [*in_parts(tasks, ADA, 3), *in_parts(tasks, BOB, 3), *in_parts(tasks, EVE, 3)]
    served = []
    for message in messages:
        served.append(claimed(tasks, message))
        tasks.finish(served[-1], Result())
    assert owners(tasks, served) == "abeabeabe"


def test_who_begins_another_recording_does_not_come_first_again(tasks: Tasks) -> None:
    messages, served = in_parts(tasks, ADA, 3), []
    for _ in range(6):
        messages += in_parts(tasks, BOB, 1)
        served.append(claimed(tasks, messages.pop()))
        tasks.finish(served[-1], Result())
    assert owners(tasks, served) == "ababab"


def test_long_ago_is_as_good_as_never(tasks: Tasks) -> None:
    ada, bob = in_parts(tasks, ADA, 2), in_parts(tasks, BOB, 2)
    served = [claimed(tasks, message) for message in (ada[0], bob[0])]
    for task, ago in zip(served, (2 * RECENT, 3 * RECENT), strict=True):
        tasks.finish(task, Result())
        with transaction(tasks.engine) as session:
            session.execute(update(TaskRow).where(TaskRow.id == task.id).values(started_at=now() - ago))
    assert owners(tasks, [claimed(tasks, bob[1])]) == "a", "of those who come for the first time, who waits longest"


def test_the_parts_of_a_recording_come_in_their_order(tasks: Tasks) -> None:
    messages = in_parts(tasks, ADA, 5)
    assert [claimed(tasks, message).part for message in reversed(messages)] == [0, 1, 2, 3, 4]


def test_a_message_before_its_time_is_good_for_its_own_task(tasks: Tasks) -> None:
    (message,) = in_parts(tasks, ADA, 1)
    tasks.retry(claimed(tasks, message), "The speech service is busy.", delay=3600)
    assert claimed(tasks, message).id == message.task_id
    assert claim(tasks, message) is None


def test_what_is_put_off_is_nobodys_turn_before_its_time(tasks: Tasks) -> None:
    first, second = in_parts(tasks, ADA, 2)
    tasks.retry(claimed(tasks, first), "The speech service is busy.", delay=3600)
    tasks.forget_messages()
    assert claimed(tasks, first).id == second.task_id


def test_what_has_its_message_still_to_come_takes_none_from_others(tasks: Tasks) -> None:
    first, second = in_parts(tasks, ADA, 2)
    tasks.retry(claimed(tasks, first), "The speech service is busy.", delay=0)
    assert claimed(tasks, second).id == second.task_id
    (again,) = tasks.unpublished(0)
    assert claimed(tasks, again).id == first.task_id


def test_a_message_whose_task_is_gone_is_good_for_another(tasks: Tasks) -> None:
    (gone,) = in_parts(tasks, ADA, 1)
    (other,) = in_parts(tasks, BOB, 1)
    tasks.finish(claimed(tasks, other), Result())
    assert Jobs(tasks.engine).delete(BOB, other.job_id)
    (new,) = in_parts(tasks, BOB, 1)
    assert Jobs(tasks.engine).delete(ADA, gone.job_id)
    assert claimed(tasks, gone).id == new.task_id


def test_recordings_are_cut_by_turns_too(tasks: Tasks) -> None:
    cuts = []
    for owner in (ADA, ADA, BOB):
        _, message = a_job(tasks.engine, owner=owner)
        cuts += tasks.finish(claimed(tasks, message), Result(next=[NextTask("cut")]))
    tasks.published(cuts)
    assert owners(tasks, [claimed(tasks, message) for message in cuts]) == "aba"


def test_other_kinds_are_taken_as_their_messages_say(tasks: Tasks) -> None:
    (_, ada), (_, bob) = a_job(tasks.engine, owner=ADA), a_job(tasks.engine, owner=BOB)
    assert claimed(tasks, bob).id == bob.task_id
    assert claim(tasks, bob) is None
    assert claimed(tasks, ada).id == ada.task_id


def test_who_comes_too_late_for_one_takes_the_next(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = in_parts(tasks, ADA, 3)
    assert tasks.claim(third.task_id, "another")
    just_before(monkeypatch, Tasks, "_claim", lambda: tasks.claim(first.task_id, "a faster one"))
    assert claimed(tasks, third).id == second.task_id


def test_of_claims_at_once_each_gets_a_task_of_its_own(tasks: Tasks) -> None:
    messages = [message for owner in (ADA, BOB, EVE) for message in in_parts(tasks, owner, 8)]
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda message: claim(tasks, message), messages))
    assert sorted(task.id for task in claims if task) == sorted(message.task_id for message in messages)


@pytest.mark.parametrize("seed", range(4))
def test_with_a_message_each_nothing_is_left_however_it_comes(tasks: Tasks, seed: int) -> None:
    """Messages come late, early and in any order; tasks end, come back and are called off meanwhile."""
    chance = random.Random(seed)
    out: list[Message] = []
    unnoted: list[Message] = []
    running: list[Task] = []
    for owner in chance.choices([ADA, BOB, EVE], k=4):
        out += in_parts(tasks, owner, chance.randint(1, 5))
    for _ in range(60):
        match chance.choice(["come", "come", "end", "back", "noted", "deleted"]):
            case "come" if out:
                task = claim(tasks, out.pop(chance.randrange(len(out))))
                running += [task] if task else []
            case "end" if running:
                tasks.finish(running.pop(chance.randrange(len(running))), Result())
            case "back" if running:
                sent = tasks.hand_back(running.pop(chance.randrange(len(running))))
                out, unnoted = out + sent, unnoted + sent
            case "noted":
                tasks.published(unnoted)
                unnoted = []
            case "deleted" if out and chance.random() < 0.1:
                for each in (ADA, BOB, EVE):
                    Jobs(tasks.engine).delete(each, out[0].job_id)
                running = [task for task in running if task.job_id != out[0].job_id]
    for message in out:
        claim(tasks, message)
    with transaction(tasks.engine) as session:
        waiting = select(TaskRow.id).where(TaskRow.kind == "transcribe", TaskRow.state == "queued")
        assert session.scalars(waiting).all() == []
