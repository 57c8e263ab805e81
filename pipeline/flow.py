"""The one table that says what follows what.

    upload --\\
    fetch ----> extract --> measure --> encode x n --> join --> draw --\\
                   \\  \\----------------/     \\-----------------/       \\
                    \\--> cut --> transcribe x m --> merge -------------> deliver
                          \\--------------------------/

`measure` is there where a loudness or a length has to be known before anything is encoded. One `encode` makes the whole of a
sound file, or a part of a long one; `join` puts the parts together once all of them are there. `draw` looks at what was made.
`cut` finds what was said in a recording, in parts that a speech service can take (none where all is silence), and `merge` makes
one transcript of what each `transcribe` heard. `render` writes a transcript's files anew after a correction.
A job has ended when all of these have. Then it is told of, also when something failed: by `deliver`, a mail to each address, by
`webhook`, a request to each program that wants one, and by `return`, which puts the results where the recording was found.

    export ----> (told)                            an export: a job by itself
    connect ---> watch, listen; revise; disconnect  a connected account: a job that goes on until it is disconnected

`watch` finds out what is new there and makes jobs of it, `listen` waits for news, `revise` takes in a transcript that was edited
there. `watch` and `listen` come back for ever, see `pipeline.work.Result.again`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A kind of task: what its result may ask for next, and its share of a job's percent."""

    follows: tuple[str, ...]
    weight: int
    awaits: str | None = None
    """The kind of task that has to be done in all its parts before this one is made."""
    shared: bool = False
    """One may take long: owners take turns (of those who wait, the one is served first of whom the fewest tasks run), and what is
    short does not wait behind it, see `pipeline.wiring.lanes`."""


STAGES = {
    "fetch": Stage(("extract",), 10, shared=True),
    "extract": Stage(("measure", "encode", "cut"), 5),
    "measure": Stage(("encode",), 8),
    "encode": Stage(("join", "draw"), 35),
    "join": Stage(("draw",), 2, awaits="encode"),
    "draw": Stage((), 5),
    "cut": Stage(("transcribe", "merge"), 5, shared=True),
    "transcribe": Stage(("merge",), 53, shared=True),
    "merge": Stage((), 2, awaits="transcribe"),
    "render": Stage((), 2),
    "export": Stage((), 1, shared=True),
    "connect": Stage(("watch", "listen"), 1),
    "watch": Stage(("revise",), 1),
    "listen": Stage((), 1, shared=True),
    "revise": Stage((), 1),
    "disconnect": Stage((), 1),
    "deliver": Stage((), 0, shared=True),
    "webhook": Stage((), 0, shared=True),
    "return": Stage((), 0, shared=True),
}
FIRST = "extract"
"""What an upload begins with; a job by address begins with `fetch`."""
TELLING = ("deliver", "webhook", "return")
"""What is done once a job has ended; none of it keeps a job open."""
QUIET = "render"
"""What its owner does to a job that has ended, and need not be told of."""
HEARING = ("cut", "transcribe", "merge")
"""What makes a transcript of a recording."""
RUNS = {"cut": 1, "transcribe": 100_000, "merge": 1, QUIET: 1}
"""How many numbers of parts a run has, of the kinds that run anew: when a recording is transcribed again, or corrected."""


def is_in_parts(kind: str) -> bool:
    """Whether tasks of `kind` are parts of one whole, which is made only of all of them."""
    return any(stage.awaits == kind for stage in STAGES.values())


def run(kind: str, part: int) -> int:
    """Which run of its kind a task belongs to, from 0."""
    return part // RUNS[kind] if kind in RUNS else 0


def check(kind: str, following: str) -> None:
    """Raises ValueError unless a task of `kind` may ask for one of kind `following`."""
    if following not in STAGES[kind].follows:
        raise ValueError(f"{following} does not follow {kind}")
