"""One transcript out of what was heard in parts, on real blobs and with the real files."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import Interrupted, Reject
from pipeline.transcript import About, Layer, LayerFacts, Segment, Word
from pipeline.work import Artifact, Result, Task
from transcriber.parts import Part, Span
from transcriber.tests.runs import Place, nothing, write_wav


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def task(place: Place, tmp_path: Path) -> Task:
    return place.task(write_wav(tmp_path / "silence.wav", nothing(120)))


def part(number: int, start: float, end: float, **known: Any) -> Part:
    return Part(part=number, spans=(Span(start=start, end=end),), **known)


def layer(place: Place, result: Result) -> tuple[About, list[Segment]]:
    (artifact,) = (artifact for artifact in result.artifacts if artifact.kind == "layer")
    made = Layer(place.audio(artifact))
    return made.about, list(made.segments())


def test_parts_become_one_transcript_with_files_and_passages(place: Place, task: Task) -> None:
    heard = [
        place.heard(part(1, 60, 120), [Segment(61, 63, "The second half.")]),
        place.heard(part(0, 0, 60), [Segment(1, 2, "The first half.")]),
    ]
    result = place.merge(task, heard)
    about, segments = layer(place, result)
    assert about == About(duration=120, language="en", model="tiny.en")
    assert segments == [Segment(1, 2, "The first half."), Segment(61, 63, "The second half.")]
    assert [artifact.kind for artifact in result.artifacts] == ["layer", *["transcript"] * 4]
    assert {artifact.name for artifact in result.spent} == {artifact.name for artifact in heard}
    assert [passage.text for passage in result.passages or ()] == ["The first half.", "The second half."]


AT = "2026-11-21T10:00:00Z"


def test_layers_are_numbered_and_say_what_made_them(place: Place, task: Task) -> None:
    earlier = [
        Artifact(
            f"transcript-{version:04}.jsonl",
            "layer",
            "",
            1,
            "",
            "",
            facts={"version": version, "author": "Ann", "at": AT},
        )
        for version in (2, 7, 3)
    ]
    result = place.merge(task, [*earlier, place.heard(part(0, 0, 60), [Segment(1, 2, "Hi.")], translated=True)])
    made = result.artifacts[0]
    facts = LayerFacts.of(made)
    assert made.name == "transcript-0008.jsonl"
    assert (facts.version, facts.author, facts.model, facts.language, facts.translated) == (
        8,
        None,
        "tiny.en",
        "en",
        True,
    )
    assert facts.at is not None
    assert json.dumps(made.facts)


def test_a_new_run_uses_its_own_parts_and_replaces_the_files_of_the_last(place: Place, task: Task) -> None:
    first = place.merge(task, [place.heard(part(0, 0, 60), [Segment(1, 2, "Old.")])])
    old = place.heard(part(0, 0, 60), [Segment(1, 2, "Old.")], attempt=2)
    fewer = task.options.model_copy(update={"formats": ("srt",)})
    again = replace(task, part=1, attempt=2, options=fewer, artifacts=[*task.artifacts, *first.artifacts])
    result = place.merge(again, [old, place.heard(part(0, 0, 60), [Segment(1, 2, "New.")], run=1, model="whisper-1")])
    about, segments = layer(place, result)
    assert ([segment.text for segment in segments], about.model) == (["New."], "whisper-1")
    assert [each.name for each in result.artifacts if each.kind == "transcript"] == ["talk.srt"]
    spent = {artifact.name for artifact in result.spent}
    assert spent == {"heard-1-0000.jsonl"} | {each.name for each in first.artifacts if each.kind == "transcript"}


@pytest.mark.parametrize("there", [(), (0, 2), (0, 1)])
def test_where_a_part_is_missing_there_is_no_transcript(place: Place, task: Task, there: tuple[int, ...]) -> None:
    heard = [place.heard(part(number, 20 * number, 20 * number + 20), []) for number in there]
    others = [place.heard(part(number, 0, 20), [], run=1) for number in range(3)]
    with pytest.raises(Reject, match="transcribed again"):
        place.merge(replace(task, args={"parts": 3}), [*heard, *others])


def test_what_was_heard_is_found_under_any_name(place: Place, task: Task) -> None:
    upload = replace(task.only("track"), name="heard-0-0000.jsonl", kind="original")
    heard = place.heard(part(0, 0, 60), [Segment(1, 2, "Hi.")])
    result = place.merge(task, [upload, replace(heard, name="heard-0-0000 (1).jsonl")])
    assert [segment.text for segment in layer(place, result)[1]] == ["Hi."]


def test_where_parts_overlap_every_word_is_there_once(place: Place, task: Task) -> None:
    def segment(text: str, start: float) -> Segment:
        words = [Word(start + 0.5 * at, start + 0.5 * at + 0.4, word) for at, word in enumerate(text.split())]
        return Segment(start, words[-1].end, text, tuple(words))

    heard = [
        place.heard(part(0, 0, 60), [segment("Once upon a time there was a kin", 56.5)]),
        place.heard(part(1, 57.5, 120, overlap=2.5), [segment("Time, there was a king who slept.", 58.05)]),
    ]
    _, segments = layer(place, place.merge(task, heard))
    assert " ".join(segment.text for segment in segments) == "Once upon a time there was a king who slept."
    assert all(before.end <= after.start for before, after in pairwise(segments))


def test_texts_without_times_are_joined_too(place: Place, task: Task) -> None:
    heard = [
        place.heard(part(0, 0, 60), [Segment(0, 60, "Once upon a time there was a kin")], timed=False),
        place.heard(part(1, 57.5, 120, overlap=2.5), [Segment(57.5, 120, "A time there was a king.")], timed=False),
    ]
    about, segments = layer(place, place.merge(task, heard))
    assert " ".join(segment.text for segment in segments) == "Once upon a time there was a king."
    assert not about.timed


def test_channels_are_speakers_and_take_turns(place: Place, task: Task) -> None:
    left = [Segment(1, 2, "Hello?", speaker="A"), Segment(70, 71, "Bye.", speaker="B")]
    heard = [
        place.heard(part(0, 0, 60, channel="left"), left[:1]),
        place.heard(part(1, 60, 120, channel="left"), left[1:]),
        place.heard(part(2, 0, 120, channel="right"), [Segment(1.5, 3, "Hi!"), Segment(71, 72, "Bye!")]),
    ]
    _, segments = layer(place, place.merge(task, heard))
    assert [(segment.speaker, segment.text) for segment in segments] == [
        ("Left", "Hello?"),
        ("Right", "Hi!"),
        ("Left", "Bye."),
        ("Right", "Bye!"),
    ]


def test_a_channel_is_one_speaker_whatever_the_model_says(place: Place, task: Task) -> None:
    said = [Segment(1, 3, "Hello?", speaker="A"), Segment(2, 4, "Yes.", speaker="B")]
    _, segments = layer(place, place.merge(task, [place.heard(part(0, 0, 60, channel="left"), said)]))
    assert segments == [Segment(1, 2, "Hello?", speaker="Left"), Segment(2, 4, "Yes.", speaker="Left")]


def test_speakers_of_different_parts_are_different_people_as_far_as_anyone_knows(place: Place, task: Task) -> None:
    said = [Segment(61, 62, "Yes.", speaker="A"), Segment(62, 63, "No.")]
    _, segments = layer(place, place.merge(task, [place.heard(part(0, 60, 120), said)]))
    assert [segment.speaker for segment in segments] == ["A", None]
    first = place.heard(part(0, 0, 60), [Segment(1, 2, "Well.", speaker="A")], attempt=2)
    second = place.heard(part(1, 60, 120), said, attempt=2)
    _, segments = layer(place, place.merge(replace(task, attempt=2), [first, second]))
    assert [segment.speaker for segment in segments] == ["A1", "A2", None]


def test_the_language_is_that_of_most_of_it_unless_it_was_named(place: Place, task: Task) -> None:
    heard = [
        place.heard(part(0, 0, 20), [], language="de"),
        place.heard(part(1, 20, 40), [], language="de"),
        place.heard(part(2, 40, 120), [], language="fr"),
    ]
    about, _ = layer(place, place.merge(task, heard))
    assert about.language == "fr"
    named = replace(task, attempt=2, options=task.options.model_copy(update={"language": "nl"}))
    assert layer(place, place.merge(named, heard))[0].language == "nl"


def test_of_silence_there_is_an_empty_transcript(place: Place, task: Task) -> None:
    (following,) = place.cut(task).next
    result = place.merge(replace(task, part=following.part, args=following.args), [])
    about, segments = layer(place, result)
    assert (about, segments) == (About(duration=120, model="tiny.en"), [])
    assert [artifact.kind for artifact in result.artifacts] == ["layer", *["transcript"] * 4]
    assert result.passages == []


def test_progress_never_goes_back_and_what_it_raises_goes_on(place: Place, task: Task) -> None:
    heard = [
        place.heard(part(number, 0, 60, channel=channel), [Segment(1, 2, "Hi.")])
        for number, channel in enumerate(["left", "left", "right", "right"])
    ]
    seen = list[float]()
    place.merge(task, heard, lambda percent, _=None: seen.append(percent))
    assert seen[0] == 0
    assert all(before <= after for before, after in pairwise(seen))

    def stop(percent: float, speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        place.merge(replace(task, attempt=2), heard, stop)
