"""What can go wrong with a mail server, at each step of a conversation."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

Step = Literal["CONNECT", "EHLO", "STARTTLS", "AUTH", "RSET", "MAIL", "RCPT", "DATA", "END"]
"""The command that is answered (RFC 5321), CONNECT with the greeting; END is the answer to the message itself."""


@dataclass(frozen=True)
class Fault:
    """Instead of what the server would do at `step`: another `answer`, a `cut` connection, or none until it is told to go on (`hang`).

    A message whose answer is cut, or does not come, was taken, as happens to real ones.
    """

    step: Step
    answer: str = ""
    kind: Literal["answer", "cut", "hang"] = "answer"

    @classmethod
    def parse(cls, text: str) -> Self:
        """`RCPT 450 4.2.1 later`, `END cut`, `MAIL hang`. Raises ValueError."""
        step, _, rest = text.partition(" ")
        if step not in get_args(Step) or not rest:
            raise ValueError(f"a fault is a step ({' '.join(get_args(Step))}) and an answer, cut or hang: {text!r}")
        if rest in ("cut", "hang"):
            return cls(step, kind=rest)  # type: ignore[arg-type]  # both are checked
        return cls(step, rest)  # type: ignore[arg-type]
