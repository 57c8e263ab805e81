"""The cutting of real tracks, by the real ffmpeg."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipeline.accounts import Limits
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.speech_models import BYTES_PER_SECOND, Model
from pipeline.work import Progress
from transcriber.parts import Part
from transcriber.tests.catalogs import booked, claimed
from transcriber.tests.runs import (
    DISTANT,
    MEDIA,
    RATE,
    Place,
    Samples,
    Takes,
    decoded,
    noise,
    nothing,
    write_wav,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def talk(*, pauses: float = 0.5) -> Samples:
    """150 s of bursts with pauses between them."""
    bursts = [np.concatenate([noise(9, -20, seed), nothing(pauses)]) for seed in range(15)]
    return np.concatenate(bursts)


def held(source: Samples, part: Part) -> Samples:
    return np.concatenate([source[round(span.start * RATE) : round(span.end * RATE)] for span in part.spans])


def test_a_local_engine_gets_the_samples_of_its_spans_and_nothing_else(place: Place, tmp_path: Path) -> None:
    source = np.concatenate([nothing(3.3), talk(), nothing(7.123), noise(4.37, -30), nothing(60), talk(pauses=2.6)])
    result = place.cut(place.task(write_wav(tmp_path / "talk.wav", source)))
    assert len(result.artifacts) > 4
    for artifact in result.artifacts:
        assert np.array_equal(decoded(place.audio(artifact)), held(source, Part.of(artifact)))
        assert (artifact.kind, artifact.type) == ("speech", "audio/flac")


@pytest.mark.parametrize("many", [101, 400, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_part_may_be_put_together_of_thousands_of_spans(place: Place, tmp_path: Path, many: int) -> None:
    calls = [np.concatenate([noise(0.17, -20, seed), nothing(2.1)]) for seed in range(7)]
    source = np.concatenate([nothing(0.031), *(calls[number % 7] for number in range(many))])
    model = Takes(name="tiny.en", seconds=1e6, bytes=10**9, local=True)
    (artifact,) = place.cut(place.task(write_wav(tmp_path / "radio.wav", source)), model).artifacts
    part = Part.of(artifact)
    assert len(part.spans) == many
    assert np.array_equal(decoded(place.audio(artifact)), held(source, part))


def test_a_part_lasts_as_long_as_it_says_also_where_the_recording_ends(place: Place, tmp_path: Path) -> None:
    (artifact,) = place.cut(place.task(write_wav(tmp_path / "short.wav", noise(10.013, -20)))).artifacts
    assert len(decoded(place.audio(artifact))) / RATE == Part.of(artifact).seconds


def test_every_part_is_asked_for_with_what_it_holds(place: Place, tmp_path: Path) -> None:
    task = replace(place.task(write_wav(tmp_path / "talk.wav", talk())), part=2)
    result = place.cut(task)
    assert [artifact.name for artifact in result.artifacts] == [f"speech-2-{number:04}.flac" for number in range(3)]
    assert [(following.kind, following.part) for following in result.next] == [
        ("transcribe", 200_000),
        ("transcribe", 200_001),
        ("transcribe", 200_002),
    ]
    assert [following.args for following in result.next] == [artifact.facts for artifact in result.artifacts]
    assert [(part.run, part.part, part.parts) for part in map(Part.of, result.artifacts)] == [
        (2, n, 3) for n in range(3)
    ]


def test_what_goes_over_the_network_is_small(place: Place, tmp_path: Path) -> None:
    result = place.cut(place.task(write_wav(tmp_path / "talk.wav", talk())), DISTANT)
    for artifact in result.artifacts:
        part = Part.of(artifact)
        assert artifact.type == "audio/ogg"
        assert artifact.bytes < BYTES_PER_SECOND["opus"] * part.seconds
        assert len(decoded(place.audio(artifact))) / RATE == pytest.approx(part.seconds, abs=0.05)


@pytest.mark.parametrize("local", [True, False])
def test_no_part_has_more_bytes_than_the_model_takes(place: Place, tmp_path: Path, local: bool) -> None:
    model = Model(name="small", formats=("verbose_json",), seconds=1e6, bytes=300_000, local=local)
    result = place.cut(place.task(write_wav(tmp_path / "noise.wav", noise(100, -3))), model)
    assert len(result.artifacts) > 1
    assert max(artifact.bytes for artifact in result.artifacts) <= 300_000


def test_nothing_is_sent_of_silence(place: Place, tmp_path: Path) -> None:
    faint = noise(120, -62)
    result = place.cut(replace(place.task(write_wav(tmp_path / "faint.wav", faint)), part=3))
    assert result.artifacts == ()
    assert [(following.kind, following.part) for following in result.next] == [("merge", 3)]
    assert result.next[0].args == {"parts": 0, "model": "tiny.en"}
    assert booked(place.catalog) == []


def test_an_offset_and_the_hum_of_the_mains_are_silence(place: Place, tmp_path: Path) -> None:
    hum = 400 + 100 * np.sin(2 * np.pi * 50 * np.arange(60 * RATE) / RATE)
    path = write_wav(tmp_path / "hum.wav", hum.astype(np.int16) + noise(60, -70))
    assert place.cut(place.task(path)).artifacts == ()


def test_all_parts_are_booked_before_anything_is_stored(place: Place, tmp_path: Path) -> None:
    task = place.task(write_wav(tmp_path / "talk.wav", talk()))
    result = place.cut(task)
    assert booked(place.catalog) == [pytest.approx(sum(Part.of(artifact).seconds for artifact in result.artifacts))]
    another, stored = claimed(place.catalog), {blob.id for blob in place.blobs.list()}
    with pytest.raises(Reject, match="You may have 3 minutes"):
        place.cut(replace(task, id=another.id, job_id=another.job_id), limits=Limits(day_speech_minutes=3))
    assert {blob.id for blob in place.blobs.list()} == stored


def test_each_channel_of_a_call_is_heard_alone(place: Place, tmp_path: Path) -> None:
    left = np.concatenate([noise(10, -20), nothing(20)])
    right = np.concatenate([nothing(15), noise(8, -20, 8), nothing(7)])
    task = place.task(write_wav(tmp_path / "call.wav", left, right), channels=2, by_channel=True)
    first, second = place.cut(task).artifacts
    assert [Part.of(first).channel, Part.of(second).channel] == ["left", "right"]
    assert [Part.of(first).part, Part.of(second).part] == [0, 1]
    assert np.array_equal(decoded(place.audio(first)), held(left, Part.of(first)))
    assert np.array_equal(decoded(place.audio(second)), held(right, Part.of(second)))


def test_one_channel_is_no_call(place: Place, tmp_path: Path) -> None:
    task = place.task(write_wav(tmp_path / "talk.wav", noise(10, -20)), by_channel=True)
    (artifact,) = place.cut(task).artifacts
    assert Part.of(artifact).channel is None


def test_without_by_channel_both_are_heard_at_once(place: Place, tmp_path: Path) -> None:
    left, right = np.concatenate([noise(10, -20), nothing(20)]), np.concatenate([nothing(22), noise(8, -20)])
    (artifact,) = place.cut(place.task(write_wav(tmp_path / "call.wav", left, right), channels=2)).artifacts
    bounds = [time for span in Part.of(artifact).spans for time in (span.start, span.end)]
    assert bounds == pytest.approx([0, 10.5, 21.5, 30], abs=0.06)


def test_speech_in_a_video_is_found(place: Place) -> None:
    result = place.cut(place.task(MEDIA / "jfk.flac", codec="flac"))
    (part,) = map(Part.of, result.artifacts)
    assert 10 < part.seconds <= 11


def test_progress_never_goes_back_and_ends_what_it_ends(place: Place, tmp_path: Path) -> None:
    task, seen = place.task(write_wav(tmp_path / "talk.wav", talk())), list[float]()

    def told(percent: float, speed: float | None = None) -> None:
        seen.append(percent)

    place.cut(task, progress=told)
    assert seen[0] == 0
    assert seen[-1] < 100
    assert all(before <= after for before, after in pairwise(seen))

    def stop_at(share: float) -> Progress:
        def told(percent: float, speed: float | None = None) -> None:
            if percent >= share:
                raise Interrupted

        return told

    for share in (1, 70):
        with pytest.raises(Interrupted):
            place.cut(replace(task, attempt=share), progress=stop_at(share))


def test_a_track_that_cannot_be_decoded_is_refused(place: Place, tmp_path: Path) -> None:
    task = place.task(write_wav(tmp_path / "talk.wav", noise(1, -20)))
    (tmp_path / "broken").write_bytes(b"not a recording")
    with place.blobs.create("broken") as blob:
        blob.write(b"not a recording")
    broken = replace(task.only("track"), blob="broken")
    with pytest.raises(Reject, match="cannot be decoded"):
        place.cut(replace(task, artifacts=[broken]))


def test_nothing_is_begun_where_the_disk_has_no_room(place: Place, tmp_path: Path) -> None:
    task = place.task(write_wav(tmp_path / "talk.wav", noise(1, -20)))
    larger = replace(task.only("track"), bytes=2 * shutil.disk_usage(tmp_path).free)
    with pytest.raises(Retry, match="has room for"):
        place.cut(replace(task, artifacts=[larger]))
