"""The one table that says what follows what.

    upload --\\
    fetch ----> extract -> encode ------\\
                     \\--> transcribe --> deliver

`deliver` waits for everything else of its job, and runs also when something failed: people hear of that too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A kind of task: what its result may ask for next, and its share of a job's percent."""

    follows: tuple[str, ...]
    weight: int


STAGES = {
    "fetch": Stage(("extract",), 10),
    "extract": Stage(("encode", "transcribe"), 5),
    "encode": Stage((), 35),
    "transcribe": Stage((), 60),
    "deliver": Stage((), 0),
}
FIRST = "extract"
"""What an upload begins with; a job by address begins with `fetch`."""
LAST = "deliver"


def check(kind: str, following: str) -> None:
    """Raises ValueError unless a task of `kind` may ask for one of kind `following`."""
    if following not in STAGES[kind].follows:
        raise ValueError(f"{following} does not follow {kind}")
