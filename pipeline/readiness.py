"""Whether the parts that a service needs answer: what every service's /readyz tells, and with what status."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog

CHECK_SECONDS = 3
"""How long a check may take before its part counts as away."""

Ready = Callable[[], Mapping[str, str]]
"""Gives each part's state: `ok`, or anything else when it is away. Bounded in time."""

log = structlog.get_logger()


def checks(**pings: Callable[[], object]) -> Ready:
    """Runs all pings side by side; one that raises or takes more than `CHECK_SECONDS` is `away`."""
    pool = ThreadPoolExecutor(max_workers=2 * len(pings), thread_name_prefix="readiness")

    def ready() -> Mapping[str, str]:
        asked = {name: pool.submit(ping) for name, ping in pings.items()}
        wait(asked.values(), timeout=CHECK_SECONDS)
        return {name: _state(name, future) for name, future in asked.items()}

    return ready


def answer(states: Mapping[str, str]) -> tuple[dict[str, object], int]:
    """The JSON and the status of /readyz."""
    fine = all(state == "ok" for state in states.values())
    return {"status": "ok" if fine else "unavailable", "checks": dict(states)}, 200 if fine else 503


def _state(name: str, future: Future[object]) -> str:
    if not future.done():
        future.cancel()
        log.warning("a part does not answer", part=name)
        return "away"
    if error := future.exception():
        log.warning("a part is away", part=name, cause=str(error))
        return "away"
    return "ok"
