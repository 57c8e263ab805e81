"""Models of speech make up text where nobody speaks: none of it must come through as if it had been said."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from openai import OpenAI

from dev.paid_api.faults import reply
from dev.paid_api.server import PaidApi, serving
from dev.serving import served
from pipeline.blobs import store
from pipeline.ledger import Ledger
from pipeline.options import Options
from pipeline.speech_models import model
from pipeline.transcript import Layer, Segment
from pipeline.work import Artifact
from speech.app import create_app
from speech.shelf import Shelf
from transcriber.parts import Part, Span
from transcriber.tests.catalogs import claimed
from transcriber.tests.runs import Place
from transcriber.tests.sounds import make_sound
from transcriber.transcribe import transcribe
from transcriber.vendor import Vendor

SECONDS = 600
NOTES = "sin(2*PI*220*t)+sin(2*PI*277.2*t)+sin(2*PI*329.6*t)+sin(2*PI*440*(1+floor(mod(t\\,4))/8)*t)"
SOUNDS = {
    "silence": f"anullsrc=r=16000:cl=mono:d={SECONDS}",
    "noise": f"anoisesrc=c=pink:a=0.3:r=16000:seed=3:d={SECONDS}",
    "music": f"aevalsrc=0.15*({NOTES})*exp(-4*mod(t\\,0.5)):s=16000:d={SECONDS}",
}


@pytest.fixture(scope="module")
def local() -> Iterator[Vendor]:
    with served("speech", create_app(Shelf(["tiny.en"]))) as url, OpenAI(api_key="-", base_url=f"{url}/v1") as client:
        yield Vendor(client)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def api() -> Iterator[PaidApi]:
    api = PaidApi()
    with serving(api):
        yield api


@pytest.fixture
def paid(api: PaidApi) -> Iterator[Vendor]:
    with OpenAI(api_key=api.key, base_url=api.url) as client:
        yield Vendor(client)


def hear(vendor: Vendor, name: str, place: Place, sent: Artifact) -> Artifact:
    """The layer of one part, `sent` as `cut` stores it."""
    task = replace(claimed(place.catalog), kind="transcribe", args=sent.facts, options=Options(), artifacts=[sent])
    handled = partial(transcribe, pick=lambda _: model(name), vendor=vendor, ledger=Ledger(place.catalog))
    return handled(task, place.blobs, place.attempt(), lambda *_: None).artifacts[0]


def segments(place: Place, layer: Artifact) -> list[Segment]:
    return list(Layer(place.audio(layer)).segments())


@pytest.mark.slow
@pytest.mark.parametrize("sound", SOUNDS)
def test_the_local_engine_hears_no_words_where_there_are_none(local: Vendor, place: Place, sound: str) -> None:
    task = place.task(make_sound(place.folder / "wordless.flac", SOUNDS[sound]), codec="flac", seconds=SECONDS)
    sent = place.cut(task, model("tiny.en")).artifacts
    assert bool(sent) == (sound != "silence")
    layer, *_ = place.merge(task, [hear(local, "tiny.en", place, part) for part in sent]).artifacts
    assert segments(place, layer) == []


@pytest.fixture
def minutes(place: Place) -> Artifact:
    """Ten minutes that are sent as one part; what the service says of them is given by the test."""
    facts = Part(part=0, spans=(Span(start=0, end=SECONDS),)).model_dump(mode="json")
    size, digest = store(place.blobs, "sent", make_sound(place.folder / "sent.flac", SOUNDS["silence"]))
    return Artifact("speech-0-0000.flac", "speech", "audio/flac", size, digest, "sent", facts=facts)


def test_what_whisper_makes_up_is_dropped_or_marked(
    api: PaidApi, paid: Vendor, place: Place, minutes: Artifact
) -> None:
    thanks = {"text": " Thanks for watching!", "avg_logprob": -1.2, "compression_ratio": 0.8, "no_speech_prob": 0.85}
    again = {"text": " I'm sorry." * 20, "avg_logprob": -0.3, "compression_ratio": 9.1, "no_speech_prob": 0.4}
    told = [{"start": n, "end": n + 30} | (thanks if n % 60 else again) for n in range(0, SECONDS, 30)]
    api.faults.extend([reply(200, {"text": "x", "language": "welsh", "segments": told})] * 2)
    kept = segments(place, hear(paid, "whisper-1", place, minutes))
    assert len(kept) == SECONDS / 60
    assert all(segment.doubtful and "sorry" in segment.text for segment in kept)
    assert len(api.calls) == 2


def test_what_a_model_without_figures_makes_up_is_marked(
    api: PaidApi, paid: Vendor, place: Place, minutes: Artifact
) -> None:
    api.faults.extend([reply(200, {"text": "Thank you for watching. " * 60})] * 2)
    kept = segments(place, hear(paid, "gpt-transcribe", place, minutes))
    assert [segment.doubtful for segment in kept] == [True] * 60
