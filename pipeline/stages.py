"""How far a job is, as its owner sees it: from the rows of its tasks, and from what its options ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline import flow
from pipeline.catalog import JobRow, TaskRow
from pipeline.options import Options

_OF_THE_RESULT = ("measure", "encode", "join", "draw")
"""Stages that work on as much as the result is to have, which may be less than the recording."""

_BESIDE_ENCODE = ("measure", "join")


@dataclass(frozen=True)
class StageView:
    """One stage of a job; `seconds` is None until it has ended."""

    name: str
    state: str
    percent: int
    """Where there are several parts, of all of them."""
    seconds: float | None
    speed: float | None = None
    """Seconds of media that are worked on in a second, by all parts that run; None while that is unknown."""
    seconds_left: float | None = None
    """At this speed; None while that is unknown."""


def stages(row: JobRow) -> list[StageView]:
    """Those that the job has or will have, in their order."""
    options = Options.model_validate(row.options)
    tasks = current(row.tasks)
    is_open = row.kind == "recording" and row.state != "done" and not row.reused
    wanted = _wanted(tasks, options) if is_open else set()
    kinds = {task.kind for task in tasks} | wanted
    return [
        _stage(row, options, kind, [task for task in tasks if task.kind == kind])
        for kind in flow.STAGES
        if kind in kinds
    ]


def current(tasks: Sequence[TaskRow]) -> Sequence[TaskRow]:
    """Without those of earlier runs, where a recording was transcribed again, and of earlier corrections."""
    for kinds in flow.HEARING, (flow.QUIET,):
        last = max((flow.run(task.kind, task.part) for task in tasks if task.kind in kinds), default=0)
        tasks = [task for task in tasks if task.kind not in kinds or flow.run(task.kind, task.part) == last]
    return tasks


def percent(found: Sequence[StageView]) -> int:
    """Of all stages, by their weights. What may or may not come beside `encode` counts as part of it until it does."""
    weights = {stage.name: flow.STAGES[stage.name].weight for stage in found}
    if "encode" in weights:
        weights["encode"] += sum(flow.STAGES[kind].weight for kind in _BESIDE_ENCODE if kind not in weights)
    return sum(stage.percent * weights[stage.name] for stage in found) // max(1, sum(weights.values()))


def _wanted(tasks: Sequence[TaskRow], options: Options) -> set[str]:
    """Where nobody speaks, `cut` leaves nothing to transcribe."""
    wanted = {
        "measure": options.profile(bitrate=0).loudness != "off",
        "join": any(task.kind == "encode" and "part" in task.args for task in tasks),
        "draw": options.waveform,
        "cut": options.transcribe,
        "transcribe": options.transcribe and all(task.kind != "merge" for task in tasks),
        "merge": options.transcribe,
        "deliver": bool(options.notify),
    }
    return {"extract", "encode", *(kind for kind, is_wanted in wanted.items() if is_wanted)}


def _stage(row: JobRow, options: Options, kind: str, tasks: Sequence[TaskRow]) -> StageView:
    if not tasks:
        ended_before = row.state in ("failed", "cancelled") and kind not in flow.TELLING
        return StageView(kind, row.state if ended_before else "queued", 0, None)
    states = {task.state for task in tasks}
    state = next(state for state in ("failed", "cancelled", "running", "queued", "done") if state in states)
    speed = _speed(tasks)
    left = _left(tasks, _length(row, options, kind), speed)
    return StageView(kind, state, sum(task.percent for task in tasks) // len(tasks), _seconds(tasks), speed, left)


def _speed(tasks: Sequence[TaskRow]) -> float | None:
    speeds = [task.speed for task in tasks if task.state == "running" and task.speed is not None]
    return round(sum(speeds), 2) if speeds else None


def _length(row: JobRow, options: Options, kind: str) -> float | None:
    """Seconds of media that the stage works on."""
    if row.seconds is None or kind not in _OF_THE_RESULT:
        return row.seconds
    return options.profile(bitrate=0).seconds(row.seconds)


def _left(tasks: Sequence[TaskRow], length: float | None, speed: float | None) -> float | None:
    """Parts share the length, other tasks of the same stage have each the whole of it before them."""
    if not speed or length is None:
        return None
    parts = sum("part" in task.args for task in tasks)
    shares = [length / parts if "part" in task.args else length for task in tasks]
    return round(sum(share * (1 - task.percent / 100) for share, task in zip(shares, tasks, strict=True)) / speed, 1)


def _seconds(tasks: Sequence[TaskRow]) -> float | None:
    """From the first start to the last end."""
    ends = [task.finished_at for task in tasks if task.finished_at]
    starts = [task.started_at for task in tasks if task.started_at]
    return round((max(ends) - min(starts)).total_seconds(), 3) if starts and len(ends) == len(tasks) else None
