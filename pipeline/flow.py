"""The one table that says what follows what.

    upload --\\
    fetch ----> extract --> measure --> encode x n --> join --> draw --\\
                   \\  \\----------------/     \\-----------------/       \\
                    \\--> transcribe ------------------------------------> deliver

`measure` is there where a loudness or a length has to be known before anything is encoded. One `encode` makes the whole of a
sound file, or a part of a long one; `join` puts the parts together once all of them are there. `draw` looks at what was made.
`deliver` waits for everything else of its job, and runs also when something failed: people hear of that too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A kind of task: what its result may ask for next, and its share of a job's percent."""

    follows: tuple[str, ...]
    weight: int
    awaits: str | None = None
    """The kind of task that has to be done in all its parts before this one is made."""


STAGES = {
    "fetch": Stage(("extract",), 10),
    "extract": Stage(("measure", "encode", "transcribe"), 5),
    "measure": Stage(("encode",), 8),
    "encode": Stage(("join", "draw"), 35),
    "join": Stage(("draw",), 2, awaits="encode"),
    "draw": Stage((), 5),
    "transcribe": Stage((), 60),
    "deliver": Stage((), 0),
}
FIRST = "extract"
"""What an upload begins with; a job by address begins with `fetch`."""
LAST = "deliver"


def is_in_parts(kind: str) -> bool:
    """Whether tasks of `kind` are parts of one whole, which is made only of all of them."""
    return any(stage.awaits == kind for stage in STAGES.values())


def check(kind: str, following: str) -> None:
    """Raises ValueError unless a task of `kind` may ask for one of kind `following`."""
    if following not in STAGES[kind].follows:
        raise ValueError(f"{following} does not follow {kind}")
