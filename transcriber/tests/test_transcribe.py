"""A part through the handler, with real audio, real blobs, and a speech service on a real port."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
import structlog
from prometheus_client import REGISTRY
from sqlalchemy import Engine

from dev.paid_api.faults import Fault, hang, refusal, reply
from dev.paid_api.server import PaidApi
from pipeline.accounts import Limits
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.ledger import MOST_CALLS, Ledger
from pipeline.options import KeptOptions
from pipeline.speech_models import model
from pipeline.transcript import About, Layer, Segment, Word
from pipeline.work import Artifact, NextTask, Progress, Result, Task
from transcriber.parts import Part, Span
from transcriber.tests.catalogs import booked, claimed
from transcriber.tests.sounds import make_sound
from transcriber.transcribe import DELAYS, transcribe
from transcriber.troubles import Untaken
from transcriber.vendor import Vendor

TWENTY = Part(run=2, part=7, parts=9, spans=(Span(start=10, end=20), Span(start=30, end=40)))
Work = Callable[..., Result]


@pytest.fixture(scope="session")
def twenty_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sound(tmp_path_factory.mktemp("sound") / "noise.flac", "anoisesrc=d=20:a=0.1:r=16000:seed=1")


def a_part(task: Task, blobs: DirectoryBlobs, audio: Path, part: Part = TWENTY, **options: Any) -> Task:
    """As if `task` were about a part, of the second of three runs; an upload has the name that its audio would have."""
    facts = part.model_copy(update={"run": 2}).model_dump(mode="json")
    kept = [Artifact(f"speech-2-{part.part:04}{audio.suffix}", "original", "audio/flac", 1, "", "upload")]
    for run in (1, 2, 3):
        blob = f"speech-of-run-{run}-{uuid4().hex}"
        size, digest = store(blobs, blob, audio)
        name = f"speech-{run}-{part.part:04} (1){audio.suffix}"
        kept.append(Artifact(name, "speech", "audio/flac", size, digest, blob, facts={**facts, "run": run}))
    number = 200_000 + part.part
    return replace(task, kind="transcribe", part=number, args=facts, options=KeptOptions(**options), artifacts=kept)


@pytest.fixture
def task(catalog: Engine) -> Task:
    """One whose calls are counted."""
    return claimed(catalog)


@pytest.fixture
def work(
    blobs: DirectoryBlobs, folder: Path, twenty_seconds: Path, vendor: Vendor, catalog: Engine, task: Task
) -> Work:
    def work(
        name: str = "whisper-1",
        part: Part = TWENTY,
        audio: Path = twenty_seconds,
        progress: Progress = lambda *_: None,
        limits: Limits | None = None,
        waiting: float = 0.0,
        **options: Any,
    ) -> Result:
        due, ledger = a_part(task, blobs, audio, part, **options), Ledger(catalog, limits or Limits())
        (attempt := folder / uuid4().hex).mkdir()
        handle = partial(transcribe, pick=lambda _: model(name), vendor=vendor, ledger=ledger, waiting=waiting)
        return handle(due, blobs, attempt, progress)

    return work


def read(result: Result, blobs: DirectoryBlobs, folder: Path) -> tuple[About, list[Segment]]:
    (made,) = result.artifacts
    blobs.fetch(made.blob, folder / "read")
    layer = Layer(folder / "read")
    return layer.about, list(layer.segments())


def said(*segments: tuple[float, float, str, dict[str, float]]) -> Fault:
    """An answer with Whisper's figures."""
    told = [{"start": start, "end": end, "text": text} | figures for start, end, text, figures in segments]
    return reply(200, {"text": "x", "language": "english", "segments": told})


SURE: dict[str, float] = {"avg_logprob": -0.2, "compression_ratio": 1.2, "no_speech_prob": 0.01}
NOBODY: dict[str, float] = {"avg_logprob": -1.4, "compression_ratio": 0.8, "no_speech_prob": 0.9}
AGAIN: dict[str, float] = {"avg_logprob": -0.4, "compression_ratio": 6.0, "no_speech_prob": 0.1}


def texts(segments: Sequence[Segment]) -> list[tuple[float, float, str, bool]]:
    return [(segment.start, segment.end, segment.text, segment.doubtful) for segment in segments]


def test_a_layer_has_the_times_of_the_recording(work: Work, blobs: DirectoryBlobs, folder: Path) -> None:
    about, segments = read(work(), blobs, folder)
    assert about == About(40, "en", "whisper-1")
    assert [(segment.start, segment.end) for segment in segments] == [(10, 15), (15, 20), (30, 35), (35, 40)]
    assert segments[1].text == "cocg mmfn gkje aiml khac efdj odha ibkh bpno lobf."
    assert segments[1].words[-1] == Word(19.5, 20, "lobf.")
    assert segments[2].words[0] == Word(30, 30.5, "fmem")
    assert segments[0].confidence == pytest.approx(0.8187, abs=1e-3)
    assert sum(len(segment.words) for segment in segments) == 40


def test_what_is_kept_tells_what_it_is_of_and_the_audio_is_spent(work: Work, api: PaidApi) -> None:
    result = work()
    (made,) = result.artifacts
    assert (made.name, made.kind, Part.of(made)) == ("heard-2-0007.jsonl", "heard", TWENTY)
    assert [spent.name for spent in result.spent] == ["speech-2-0007 (1).flac"]
    assert result.next == [NextTask("merge", 2, {"parts": 9})]
    assert api.calls[0].seconds == 20


def test_a_text_without_times_is_shared_out_by_its_length(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    api.faults.append(reply(200, {"text": "Four. " + "And fourteen." + " 四。五。" + "Four."}))
    about, segments = read(work("gpt-transcribe"), blobs, folder)
    assert not about.timed
    assert [segment.text for segment in segments] == ["Four.", "And fourteen.", "四。", "五。", "Four."]
    assert (segments[0].start, segments[-1].end) == (10, 40)
    assert segments[0].end == pytest.approx(10 + 20 * 5 / 27, abs=2e-3)
    assert all(before.end <= after.start for before, after in pairwise(segments))
    assert not any(segment.words for segment in segments)


def test_where_a_model_tells_no_times_that_can_tell_them_the_text_is_used_and_the_log_says_so(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    api.faults.append(refusal(400, param="response_format"))
    with structlog.testing.capture_logs() as lines:
        about, segments = read(work("whisper-1"), blobs, folder)
    assert not about.timed
    assert segments[0].text.startswith("aaaa")
    (line,) = (line for line in lines if line["log_level"] == "warning")
    assert (line["model"], line["seconds"]) == ("whisper-1", 20)


def test_how_sure_a_model_is_of_a_plain_text_is_kept(work: Work, blobs: DirectoryBlobs, folder: Path) -> None:
    _, segments = read(work("gpt-4o-transcribe"), blobs, folder)
    assert segments[0].confidence == pytest.approx(0.9048, abs=1e-3)


@pytest.mark.parametrize(("wanted", "told"), [(True, ["A", "B", "A", "B"]), (False, [None] * 4)])
def test_speakers_are_told_where_that_is_asked_for(
    work: Work, blobs: DirectoryBlobs, folder: Path, wanted: bool, told: list[str | None]
) -> None:
    about, segments = read(work("gpt-4o-transcribe-diarize", speakers=wanted), blobs, folder)
    assert [segment.speaker for segment in segments] == told
    assert about.timed


def test_speakers_are_never_made_up(work: Work, blobs: DirectoryBlobs, folder: Path) -> None:
    _, segments = read(work("whisper-1", speakers=True), blobs, folder)
    assert {segment.speaker for segment in segments} == {None}


def test_a_translation_is_one(work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path) -> None:
    about, _ = read(work(translate=True), blobs, folder)
    assert about.translated
    assert api.calls[0].path == "/v1/audio/translations"


def test_the_language_and_the_glossary_are_passed_on(work: Work, api: PaidApi) -> None:
    work(language="de", glossary=("Kennedy",), account_glossary=("kennedy", "Sorensen"))
    assert (api.calls[0].form["language"], api.calls[0].form["prompt"]) == (["de"], ["Kennedy, Sorensen."])


def test_an_empty_answer_is_an_empty_layer(work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path) -> None:
    api.faults.append(reply(200, {"text": "", "segments": [], "language": "welsh"}))
    about, segments = read(work(language="en"), blobs, folder)
    assert (segments, about.language, about.timed) == ([], "en", True)


def test_odd_times_are_put_within_the_part(work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path) -> None:
    api.faults.append(said((99, 120, "c", SURE), (5, 3, "b", SURE), (-4, 1, " a\x00\n", SURE), (1, 2, " ", SURE)))
    _, segments = read(work(), blobs, folder)
    assert texts(segments) == [(10, 11, "a", False), (15, 15, "b", False), (40, 40, "c", False)]


def test_what_is_too_short_for_a_word_is_not_sent(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    _, segments = read(work(part=Part(part=0, spans=(Span(start=1, end=1.05),))), blobs, folder)
    assert (segments, api.calls) == ([], [])


def test_failures_are_tried_again_with_longer_and_longer_pauses_and_five_times_at_most(
    work: Work, api: PaidApi
) -> None:
    delays = []
    for _ in range(5):
        api.faults.append(refusal(500))
        with pytest.raises(Retry) as trouble:
            work()
        delays.append(trouble.value.delay)
    assert delays == [*DELAYS, 0]
    with pytest.raises(Reject, match="asked 5 times"):
        work()
    assert len(api.calls) == 5


def test_a_service_that_asks_for_a_longer_pause_gets_it(work: Work, api: PaidApi) -> None:
    api.faults.append(refusal(500, {"Retry-After": "77"}))
    with pytest.raises(Retry) as trouble:
        work()
    assert trouble.value.delay == 77


@pytest.mark.parametrize(
    ("fault", "delay"),
    [(refusal(429), None), (refusal(429, {"Retry-After": "7"}), 7), (refusal(503, {"Retry-After": "7"}), 7)],
)
def test_a_call_that_was_not_taken_does_not_count(
    work: Work, api: PaidApi, catalog: Engine, task: Task, fault: Fault, delay: float | None
) -> None:
    api.faults.append(fault)
    with pytest.raises(Untaken) as trouble:
        work()
    assert trouble.value.delay == delay
    assert (Ledger(catalog).call(task, 20), booked(catalog)) == (1, [])


def spent(name: str) -> tuple[float, float | None]:
    """Seconds and dollars, of all tests."""
    seconds, dollars = (
        REGISTRY.get_sample_value(f"spool_speech_{unit}_total", {"model": name}) for unit in ("seconds", "dollars")
    )
    return seconds or 0, dollars


@pytest.mark.parametrize(
    ("fault", "taken"),
    [(None, 20), (refusal(500), 20), (refusal(429), 0), (refusal(400), 0), (refusal(400, param="response_format"), 20)],
)
def test_what_a_service_takes_is_counted_and_so_is_its_price(
    work: Work, api: PaidApi, fault: Fault | None, taken: float
) -> None:
    seconds, dollars = spent("whisper-1")
    api.faults.extend([fault] if fault else [])
    with suppress(Retry, Reject):
        work("whisper-1")
    more, paid = spent("whisper-1")
    assert (more - seconds, (paid or 0) - (dollars or 0)) == pytest.approx((taken, taken / 60 * 0.006))


def test_of_models_without_a_price_the_seconds_alone_are_counted(work: Work, api: PaidApi) -> None:
    api.faults.append(said((0, 4, "Sure.", SURE)))
    seconds, _ = spent("tiny.en")
    work("tiny.en")
    assert spent("tiny.en") == (seconds + 20, None)


def test_a_refused_format_does_not_count(work: Work, api: PaidApi, catalog: Engine, task: Task) -> None:
    api.faults.append(refusal(400, None, param="response_format"))
    work()
    assert (len(api.calls), booked(catalog)) == (2, [])
    assert Ledger(catalog).call(task, 1) == 2


def test_nor_does_it_where_there_is_no_room_afterwards(
    work: Work, api: PaidApi, catalog: Engine, task: Task, blobs: DirectoryBlobs, folder: Path
) -> None:
    api.faults.append(refusal(400, None, param="timestamp_granularities"))
    for _ in range(MOST_CALLS + 1):
        api.faults.append(refusal(429, {"Retry-After": "20"}))
        with pytest.raises(Untaken):
            work()
    assert (Ledger(catalog).call(task, 20), booked(catalog)) == (1, [])
    Ledger(catalog).take_back(task)
    _, segments = read(work(), blobs, folder)
    assert segments
    assert len(api.calls) == 1 + MOST_CALLS + 1 + 1


def test_an_interrupted_attempt_stores_nothing(work: Work, api: PaidApi, blobs: DirectoryBlobs) -> None:
    api.faults.append(hang)

    def progress(percent: float, speed: float | None = None) -> None:
        if api.calls:
            raise Interrupted

    with pytest.raises(Interrupted):
        work(progress=progress)
    assert {blob.id[:13] for blob in blobs.list()} == {"speech-of-run"}
    assert api.hung_up.wait(15)


def test_calls_that_are_broken_off_here_are_paid_but_no_failures(
    work: Work, api: PaidApi, catalog: Engine, task: Task
) -> None:
    api.faults.extend([hang] * (MOST_CALLS + 1))
    for calls in range(1, MOST_CALLS + 2):

        def progress(percent: float, speed: float | None = None, calls: int = calls) -> None:
            if len(api.calls) == calls:
                raise Interrupted

        with pytest.raises(Interrupted):
            work(progress=progress)
    assert booked(catalog) == [20] * MOST_CALLS
    work()
    assert Ledger(catalog).call(task, 1) == 2


@pytest.mark.parametrize(("name", "most"), [("whisper-1", 120 + 4 * 20), ("tiny.en", 120 + 4 * 20 + 900)])
def test_a_request_takes_as_long_as_its_audio_allows_and_a_place_in_the_queue(
    work: Work, api: PaidApi, name: str, most: int
) -> None:
    api.faults.append(reply(200, {"text": "A word."}))
    with patch.object(Vendor, "ask", autospec=True, side_effect=Vendor.ask) as ask:
        work(name, waiting=900)
    assert [call.kwargs["limit"] for call in ask.call_args_list] == [most]


def test_progress_never_goes_back_and_is_not_done_before_the_end(work: Work, api: PaidApi) -> None:
    api.delay, seen = 0.8, []
    work(progress=lambda percent, speed=None: seen.append(percent))
    assert seen[0] == 0
    assert 0 < seen[-1] < 100
    assert seen == sorted(seen)


def test_audio_that_is_gone_is_an_error(
    blobs: DirectoryBlobs, folder: Path, twenty_seconds: Path, vendor: Vendor, catalog: Engine, task: Task
) -> None:
    due, ledger = a_part(task, blobs, twenty_seconds), Ledger(catalog)
    due = replace(due, args={**due.args, "run": 4})
    with pytest.raises(LookupError, match="part 7 of run 4"):
        transcribe(due, blobs, folder, lambda *_: None, pick=lambda _: model("tiny.en"), vendor=vendor, ledger=ledger)


def test_what_an_earlier_version_asked_for_is_refused_with_what_to_do(
    blobs: DirectoryBlobs, folder: Path, twenty_seconds: Path, vendor: Vendor, catalog: Engine, task: Task
) -> None:
    due, ledger = replace(a_part(task, blobs, twenty_seconds), part=0, args={}), Ledger(catalog)
    with pytest.raises(Reject, match="transcribed again"):
        transcribe(due, blobs, folder, lambda *_: None, pick=lambda _: model("tiny.en"), vendor=vendor, ledger=ledger)


def test_doubtful_stretches_are_asked_for_once_more_hotter_in_one_call(
    work: Work, api: PaidApi, catalog: Engine, blobs: DirectoryBlobs, folder: Path
) -> None:
    api.faults.append(
        said((0, 4, "Sure.", SURE), (4, 6, "La la.", AGAIN), (6, 14, "Sure, too.", SURE), (14, 17, "Thanks!", NOBODY))
    )
    api.faults.append(said((0.5, 2, "So it was.", SURE), (3, 5, "Indeed.", SURE)))
    _, segments = read(work(), blobs, folder)
    assert texts(segments) == [
        (10, 14, "Sure.", False),
        (14.5, 16, "So it was.", False),
        (16, 34, "Sure, too.", False),
        (34, 36, "Indeed.", False),
    ]
    first, second = api.calls
    assert "temperature" not in first.form
    assert second.form["temperature"] == ["0.4"]
    assert second.seconds == pytest.approx(6, abs=0.005)
    assert booked(catalog) == [pytest.approx(6)]


def test_what_is_heard_again_over_two_stretches_stands_where_its_words_were_said(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    first = said((0, 4, "La la.", AGAIN), (4, 14, "So we talked.", SURE), (14, 18, "La la la.", AGAIN))
    again = {"start": 1, "end": 8, "text": "Sing a song of sixpence."} | SURE
    words = [(1, 1.5, "Sing"), (1.6, 1.8, "a"), (2, 3, "song"), (5.5, 6, "of"), (6.2, 8, "sixpence")]
    told = [{"start": start, "end": end, "word": word} for start, end, word in words]
    api.faults.extend([first, reply(200, {"text": "x", "segments": [again], "words": told})])
    _, segments = read(work(), blobs, folder)
    assert texts(segments) == [
        (11, 13, "Sing a song", False),
        (14, 34, "So we talked.", False),
        (34.5, 37, "of sixpence.", False),
    ]
    assert [word.start for word in segments[2].words] == [34.5, 35.2]


def test_what_stays_silence_is_dropped_and_what_goes_on_repeating_itself_is_marked(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    first = said((0, 4, "Sure.", SURE), (4, 6, "La la.", AGAIN), (6, 9, "Thanks!", NOBODY))
    api.faults.extend([first, said((0, 2, "La la la.", AGAIN), (2, 5, "Thanks for all!", NOBODY))])
    _, segments = read(work(), blobs, folder)
    assert texts(segments) == [(10, 14, "Sure.", False), (14, 16, "La la la.", True)]


@pytest.mark.parametrize("trouble", [refusal(500), refusal(429), refusal(400)])
def test_where_it_cannot_be_asked_again_the_first_answer_is_judged(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path, trouble: Fault
) -> None:
    api.faults.extend([said((0, 4, "La la.", AGAIN), (4, 6, "Thanks!", NOBODY)), trouble])
    _, segments = read(work(), blobs, folder)
    assert texts(segments) == [(10, 14, "La la.", True)]


def test_no_call_is_made_for_doubt_where_all_are_used_up(
    work: Work, api: PaidApi, catalog: Engine, task: Task, blobs: DirectoryBlobs, folder: Path
) -> None:
    for _ in range(MOST_CALLS - 1):
        Ledger(catalog).call(task, 20)
    api.faults.append(said((0, 4, "La la.", AGAIN)))
    _, segments = read(work(), blobs, folder)
    assert texts(segments) == [(10, 14, "La la.", True)]
    assert len(api.calls) == 1


def test_what_is_heard_behind_a_doubtful_stretch_stands_before_what_follows_it(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    api.faults.append(said((0, 4, "La la.", AGAIN), (4, 9, "Sure.", SURE), (10, 14, "La la.", AGAIN)))
    api.faults.append(said((0, 3, "Heard.", SURE), (4.1, 4.4, "Yes.", SURE), (5, 8, "Other.", SURE)))
    _, segments = read(work(), blobs, folder)
    assert [segment.text for segment in segments] == ["Heard.", "Yes.", "Sure.", "Other."]


def test_no_call_is_made_for_doubt_where_the_minutes_of_the_day_are_used_up(
    work: Work, api: PaidApi, catalog: Engine, task: Task, blobs: DirectoryBlobs, folder: Path
) -> None:
    Ledger(catalog).book(task, 57)
    api.faults.append(said((0, 4, "La la.", AGAIN), (4, 6, "Sure.", SURE)))
    _, segments = read(work(limits=Limits(day_speech_minutes=1)), blobs, folder)
    assert texts(segments) == [(10, 14, "La la.", True), (14, 16, "Sure.", False)]
    assert (len(api.calls), booked(catalog)) == (1, [57])


def test_an_interruption_goes_on_while_it_is_asked_again(work: Work, api: PaidApi) -> None:
    api.faults.extend([said((0, 4, "La la.", AGAIN)), hang])

    def progress(percent: float, speed: float | None = None) -> None:
        if len(api.calls) > 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        work(progress=progress)
    assert api.hung_up.wait(15)


@pytest.mark.parametrize("name", ["gpt-transcribe", "gpt-4o-transcribe"])
def test_a_plain_text_that_repeats_itself_is_asked_for_as_a_whole(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path, name: str
) -> None:
    api.faults.append(reply(200, {"text": "Thank you. " * 30}))
    _, segments = read(work(name), blobs, folder)
    assert {call.seconds for call in api.calls} == {20}
    assert api.calls[1].form["temperature"] == ["0.4"]
    assert segments[0].text.startswith("aaaa")
    assert not any(segment.doubtful for segment in segments)


def test_a_plain_text_that_goes_on_repeating_itself_is_marked(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    api.faults.extend([reply(200, {"text": "Thank you. " * 30})] * 2)
    _, segments = read(work("gpt-transcribe"), blobs, folder)
    assert len(segments) == 30
    assert all(segment.doubtful for segment in segments)


def test_the_figures_of_services_that_tell_none_are_our_own(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    turns = [{"start": n, "end": n + 1, "text": "Thanks for watching!", "speaker": "A"} for n in range(20)]
    api.faults.extend([reply(200, {"text": "x", "segments": turns})] * 2)
    _, segments = read(work("gpt-4o-transcribe-diarize"), blobs, folder)
    assert [segment.doubtful for segment in segments] == [True] * 20


def test_where_times_are_only_shared_out_nothing_is_cut_out(
    work: Work, api: PaidApi, blobs: DirectoryBlobs, folder: Path
) -> None:
    speech = " ".join(f"Sentence {number} tells of {number * 7919}." for number in range(20))
    api.faults.append(reply(200, {"text": speech + " Thank you." * 60}))
    work("gpt-transcribe", part=Part(part=7, spans=(Span(start=0, end=200),)))
    assert {call.name for call in api.calls} == {"speech-2-0007 (1).flac"}
    assert len(api.calls) > 1


def test_no_more_is_cut_out_than_there_is(work: Work, api: PaidApi, catalog: Engine) -> None:
    api.faults.append(said((-4, 2, "La la.", AGAIN), (18, 99, "La la.", AGAIN)))
    work()
    assert booked(catalog) == [pytest.approx(5)]
    assert api.calls[1].seconds == pytest.approx(5, abs=0.01)
