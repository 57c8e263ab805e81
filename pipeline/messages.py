"""The message that asks a worker to look at a task's row. It carries no work, only where to look."""

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """A pointer to one task row.

    `trace` is a W3C traceparent (https://www.w3.org/TR/trace-context/), which ties the logs of all hops together.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    job_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    kind: str = Field(min_length=1, max_length=20)
    attempt: int = 0
    """How many attempts there had been when the message was made."""
    trace: str | None = None

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def decode(cls, body: bytes) -> "Message":
        """Raises ValueError (pydantic's ValidationError) for anything that is not a message."""
        return cls.model_validate_json(body)
