"""Whether the speech models that jobs may choose from will be there tomorrow."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import structlog
from prometheus_client import Gauge

from pipeline.speech_models import Choice

ENDS = Gauge("spool_model_ends_timestamp_seconds", "When the maker of a speech model takes it away", ("model",))

log = structlog.get_logger()


def watch(choice: Choice) -> None:
    """Tells in metrics when models end, and in the log which of them soon will."""
    for one in choice.models:
        if one.ends:
            ENDS.labels(one.name).set(datetime(one.ends.year, one.ends.month, one.ends.day, tzinfo=UTC).timestamp())
    for name, said in remarks(choice).items():
        log.warning("a speech model ends", about=name, said=said)


def remarks(choice: Choice, today: date | None = None) -> Mapping[str, str]:
    """What people should know of models that end soon: for /readyz."""
    today = today or datetime.now(UTC).date()
    soon = [one for one in choice.models if one.ends_soon(today)]
    told = "; ".join(f"{one.name} ends on {one.ends}: choose another model" for one in soon)
    return {"models": told} if told else {}
