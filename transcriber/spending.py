"""What speech services were sent, and what that costs: for whoever pays."""

from prometheus_client import Counter

from pipeline.speech_models import Model

SECONDS = Counter("spool_speech_seconds", "Seconds of audio that a speech service took", ("model",))
DOLLARS = Counter(
    "spool_speech_dollars", "US dollars that they cost, where the price of the model is known", ("model",)
)


def count(model: Model, seconds: float) -> None:
    SECONDS.labels(model.name).inc(seconds)
    if model.price is not None:
        DOLLARS.labels(model.name).inc(model.price * seconds / 60)
