"""What an owner sees of work that goes on: stages, percent, speed and the time that is left."""

from typing import Any

import pytest
from sqlalchemy import Engine

from pipeline.jobs import Job, Jobs, NewJob
from pipeline.options import Options
from pipeline.stages import StageView
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, an_artifact, claimed
from pipeline.work import NextTask, Result, Task

HOUR = 3600.0


@pytest.fixture
def tasks(catalog: Engine) -> Tasks:
    return Tasks(catalog)


def created(tasks: Tasks, **asked: Any) -> tuple[Job, Task]:
    new = NewJob(OWNER, "talk.mp4", an_artifact(), options=Options(transcribe=False, **asked))
    job, (message,) = Jobs(tasks.engine).create(new)
    return job, claimed(tasks, message)


def encoding(tasks: Tasks, *args: dict[str, Any], **asked: Any) -> tuple[Job, list[Task]]:
    """An hour of which encode has a task for each of `args`, all being worked on."""
    job, extract = created(tasks, **asked)
    following = [NextTask("encode", number, each) for number, each in enumerate(args or ({},))]
    track = an_artifact("track.mka", "track")
    return job, [claimed(tasks, message) for message in tasks.finish(extract, Result([track], following, seconds=HOUR))]


def parts(count: int) -> list[dict[str, Any]]:
    return [{"part": {"first": number, "next": number + 1}} for number in range(count)]


def names(tasks: Tasks, job: Job) -> list[str]:
    return [stage.name for stage in seen(tasks, job).stages]


def seen(tasks: Tasks, job: Job) -> Job:
    found = Jobs(tasks.engine).get(OWNER, job.id)
    assert found is not None
    return found


def stage(tasks: Tasks, job: Job, name: str = "encode") -> StageView:
    return next(stage for stage in seen(tasks, job).stages if stage.name == name)


def test_speed_and_the_time_left_are_told(tasks: Tasks) -> None:
    job, (encode,) = encoding(tasks)
    assert (stage(tasks, job).speed, stage(tasks, job).seconds_left) == (None, None)
    assert tasks.renew(encode, 50, 60.0)
    assert (stage(tasks, job).percent, stage(tasks, job).speed, stage(tasks, job).seconds_left) == (50, 60, 30)


def test_parts_have_the_sum_of_their_speeds_and_the_mean_of_their_percent(tasks: Tasks) -> None:
    job, (first, second, third, _) = encoding(tasks, *parts(4))
    tasks.renew(first, 100, 20.0)
    tasks.renew(second, 50, 40.0)
    tasks.renew(third, 10)
    found = stage(tasks, job)
    assert (found.percent, found.speed) == (40, 60)
    assert found.seconds_left == pytest.approx(900 * (0.5 + 0.9 + 1) / 60)


def test_of_parts_that_wait_the_time_is_still_to_come(tasks: Tasks) -> None:
    job, (first, second) = encoding(tasks, *parts(2))
    tasks.hand_back(second)
    tasks.renew(first, 0, 30.0)
    assert stage(tasks, job).seconds_left == HOUR / 30


def test_what_is_encoded_beside_the_parts_has_all_of_the_recording_before_it(tasks: Tasks) -> None:
    job, (first, second, rest) = encoding(tasks, *parts(2), {"audio": ["opus"]})
    for task in (first, second, rest):
        tasks.renew(task, 0, 20.0)
    assert stage(tasks, job).seconds_left == (HOUR + HOUR) / 60


def test_the_time_left_is_that_of_what_was_asked_for(tasks: Tasks) -> None:
    job, (encode,) = encoding(tasks, start=600, end=1800, speed=2)
    tasks.renew(encode, 50, 30.0)
    assert stage(tasks, job).seconds_left == 10


def test_nobody_knows_the_time_left_of_a_recording_of_unknown_length(tasks: Tasks) -> None:
    job, extract = created(tasks)
    tasks.renew(extract, 10, 500.0)
    found = stage(tasks, job, "extract")
    assert (found.speed, found.seconds_left) == (500, None)


@pytest.mark.parametrize("end", ["handed back", "put off", "lapsed"])
def test_percent_and_speed_begin_anew_with_another_attempt(tasks: Tasks, end: str) -> None:
    job, (encode,) = encoding(Tasks(tasks.engine, lease=0))
    Tasks(tasks.engine, lease=0).renew(encode, 50, 60.0)
    match end:
        case "handed back":
            tasks.hand_back(encode)
        case "put off":
            tasks.retry(encode, "The store was away.", delay=0)
        case "lapsed":
            tasks.lapse()
    found = stage(tasks, job)
    assert (found.state, found.percent, found.speed, found.seconds_left) == ("queued", 0, None, None)
    (message,) = tasks.unpublished(0)
    again = claimed(tasks, message)
    assert (stage(tasks, job).percent, stage(tasks, job).speed) == (0, None)
    tasks.renew(again, 1, 10.0)
    assert (stage(tasks, job).percent, stage(tasks, job).speed) == (1, 10)


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_what_has_ended_has_no_speed(tasks: Tasks, end: str) -> None:
    job, (encode,) = encoding(tasks)
    tasks.renew(encode, 50, 60.0)
    match end:
        case "done":
            tasks.finish(encode, Result())
        case "failed":
            tasks.reject(encode, "No.")
        case "cancelled":
            Jobs(tasks.engine).cancel(OWNER, job.id)
    found = stage(tasks, job)
    assert (found.state, found.speed, found.seconds_left) == (end, None, None)


def test_that_there_is_a_speed_is_news_and_that_it_wavers_is_none(tasks: Tasks) -> None:
    job, (encode,) = encoding(tasks)
    tasks.renew(encode, 5)
    before = seen(tasks, job).changed_at
    tasks.renew(encode, 5, 60.0)
    told = seen(tasks, job).changed_at
    assert told > before
    tasks.renew(encode, 5, 61.0)
    assert seen(tasks, job).changed_at == told
    assert stage(tasks, job).speed == 61


def test_a_job_shows_the_stages_that_its_options_ask_for(tasks: Tasks) -> None:
    assert names(tasks, created(tasks)[0]) == ["extract", "encode", "draw"]
    assert names(tasks, created(tasks, waveform=False)[0]) == ["extract", "encode"]
    assert names(tasks, created(tasks, loudness=-16)[0]) == ["extract", "measure", "encode", "draw"]
    assert names(tasks, created(tasks, preset="podcast", waveform=False)[0]) == ["extract", "measure", "encode"]
    assert names(tasks, created(tasks, preset="podcast", loudness="off")[0]) == ["extract", "encode", "draw"]


def test_a_join_is_shown_as_soon_as_there_are_parts(tasks: Tasks) -> None:
    job, _ = encoding(tasks, *parts(2))
    assert names(tasks, job) == ["extract", "encode", "join", "draw"]


def test_a_job_that_is_done_shows_what_was_done(tasks: Tasks) -> None:
    job, (encode,) = encoding(tasks)
    tasks.finish(encode, Result([an_artifact("talk.mp3", "audio")]))
    assert (seen(tasks, job).state, names(tasks, job)) == ("done", ["extract", "encode"])


@pytest.mark.parametrize("asked", [{"loudness": -16}, {"fade_out": 3}])
def test_the_percent_of_a_job_never_goes_back_while_its_attempts_last(tasks: Tasks, asked: dict[str, Any]) -> None:
    """Nor when stages turn out to be needed that nobody knew of."""
    job, extract = created(tasks, **asked)
    told = [seen(tasks, job).percent]

    def look() -> None:
        told.append(seen(tasks, job).percent)

    def through(task: Task, result: Result) -> list[Task]:
        for percent in (0, 50, 99):
            tasks.renew(task, percent, 100.0)
            look()
        made = [claimed(tasks, message) for message in tasks.finish(task, result)]
        look()
        return made

    (measure,) = through(extract, Result([an_artifact("track.mka", "track")], [NextTask("measure")], seconds=HOUR))
    halves = [NextTask("encode", number, args) for number, args in enumerate(parts(2))]
    first, second = through(measure, Result(next=halves))
    assert through(first, Result(next=[NextTask("join")])) == []
    (join,) = through(second, Result(next=[NextTask("join")]))
    (draw,) = through(join, Result(next=[NextTask("draw")]))
    assert through(draw, Result()) == []
    assert told == sorted(told)
    assert told[-1] == 100
