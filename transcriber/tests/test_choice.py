from datetime import date

import structlog
from prometheus_client import REGISTRY

from pipeline.speech_models import Choice, model
from transcriber.choice import remarks, watch


def test_the_end_of_a_model_is_told_in_metric_and_log() -> None:
    ended = model("whisper-1").model_copy(update={"name": "ended", "ends": date(2020, 1, 2)})
    with structlog.testing.capture_logs() as lines:
        watch(Choice((ended, model("tiny.en"))))
    assert REGISTRY.get_sample_value("spool_model_ends_timestamp_seconds", {"model": "ended"}) == 1577923200
    (line,) = lines
    assert (line["log_level"], line["said"]) == ("warning", "ended ends on 2020-01-02: choose another model")


def test_remarks_tell_of_models_that_end_soon() -> None:
    choice = Choice((model("tiny.en"), model("whisper-1")))
    assert remarks(choice, date(2026, 11, 27)) == {}
    assert remarks(choice, date(2026, 11, 28)) == {"models": "whisper-1 ends on 2027-02-26: choose another model"}
