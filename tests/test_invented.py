"""Models of speech make up text where nobody speaks: none of it must come through as if it had been said."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from openai import OpenAI

from dev.paid_api.faults import reply
from dev.paid_api.server import PaidApi, serving
from dev.serving import served
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.ledger import Ledger
from pipeline.options import Options
from pipeline.speech_models import model
from pipeline.transcript import Layer, Segment
from pipeline.work import Artifact
from speech.app import create_app
from speech.shelf import Shelf
from transcriber.parts import Part, Span
from transcriber.tests.catalogs import a_catalog, claimed
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


@pytest.fixture(scope="module", params=SOUNDS)
def wordless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = SOUNDS[request.param]
    return make_sound(tmp_path_factory.mktemp("wordless") / f"{request.param}.flac", source)


@pytest.fixture(scope="module")
def local() -> Iterator[Vendor]:
    with served("speech", create_app(Shelf(["tiny.en"]))) as url, OpenAI(api_key="-", base_url=f"{url}/v1") as client:
        yield Vendor(client)


@pytest.fixture
def api() -> Iterator[PaidApi]:
    api = PaidApi()
    with serving(api):
        yield api


@pytest.fixture
def paid(api: PaidApi) -> Iterator[Vendor]:
    with OpenAI(api_key=api.key, base_url=api.url) as client:
        yield Vendor(client)


def hear(vendor: Vendor, name: str, audio: Path, folder: Path) -> list[Segment]:
    """Sends all of the audio, as if no silence had been found in it."""
    facts = Part(part=0, spans=(Span(start=0, end=SECONDS),)).model_dump(mode="json")
    blobs = DirectoryBlobs(folder / "blobs")
    size, digest = store(blobs, "sent", audio)
    sent = Artifact("speech-0-0000.flac", "speech", "audio/flac", size, digest, "sent", facts=facts)
    catalog = a_catalog(folder)
    task = replace(claimed(catalog), kind="transcribe", part=0, args=facts, options=Options(), artifacts=[sent])
    ledger = Ledger(catalog)
    result = transcribe(task, blobs, folder, lambda *_: None, pick=lambda _: model(name), vendor=vendor, ledger=ledger)
    blobs.fetch(result.artifacts[0].blob, folder / "layer")
    return list(Layer(folder / "layer").segments())


@pytest.mark.slow
def test_the_local_engine_hears_no_words_where_there_are_none(wordless: Path, local: Vendor, tmp_path: Path) -> None:
    assert [segment for segment in hear(local, "tiny.en", wordless, tmp_path) if not segment.doubtful] == []


def test_what_whisper_makes_up_is_dropped_or_marked(wordless: Path, api: PaidApi, paid: Vendor, tmp_path: Path) -> None:
    thanks = {"text": " Thanks for watching!", "avg_logprob": -1.2, "compression_ratio": 0.8, "no_speech_prob": 0.85}
    again = {"text": " I'm sorry." * 20, "avg_logprob": -0.3, "compression_ratio": 9.1, "no_speech_prob": 0.4}
    told = [{"start": n, "end": n + 30} | (thanks if n % 60 else again) for n in range(0, SECONDS, 30)]
    api.faults.extend([reply(200, {"text": "x", "language": "welsh", "segments": told})] * 2)
    segments = hear(paid, "whisper-1", wordless, tmp_path)
    assert len(segments) == SECONDS / 60
    assert all(segment.doubtful and "sorry" in segment.text for segment in segments)
    assert len(api.calls) == 2


def test_what_a_model_without_figures_makes_up_is_marked(
    wordless: Path, api: PaidApi, paid: Vendor, tmp_path: Path
) -> None:
    api.faults.extend([reply(200, {"text": "Thank you for watching. " * 60})] * 2)
    assert [segment.doubtful for segment in hear(paid, "gpt-transcribe", wordless, tmp_path)] == [True] * 60
