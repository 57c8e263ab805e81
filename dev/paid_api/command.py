"""`python -m dev paid-api`: the stand-in at a terminal."""

from dev.paid_api.faults import FAULTS
from dev.paid_api.server import PaidApi, serving
from pipeline.wiring import stay, stop_on_signals


def run(port: int, key: str, delay: float) -> None:
    """Runs the stand-in until a signal, and says how to use it."""
    stop = stop_on_signals()
    with serving(PaidApi(key, delay), port) as url:
        print(
            f"""The paid API's stand-in is running at {url}

  export SPOOL_SPEECH_URL={url} SPOOL_SPEECH_KEY={key} SPOOL_SPEECH_MODEL=whisper-1

Faults for the next calls, one each ({" ".join(FAULTS)}):
  curl -d '["429-later", "half"]' {url.removesuffix("/v1")}/admin/faults
Ctrl-C stops it.""",
            flush=True,
        )
        stay(stop)
