"""After a correction: every file of a job anew, on real blobs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Interrupted
from pipeline.options import Options
from pipeline.transcript import Layer, Segment
from pipeline.work import Artifact, ArtifactKind, Passage, Task
from transcriber.formats import FORMATS
from transcriber.render import render

Maker = Callable[..., Layer]
TYPE = "application/jsonl"


def quiet(percent: float, speed: float | None = None) -> None:
    """Nobody asks how far it is."""


def kept(blobs: DirectoryBlobs, layer: Layer, version: int) -> Artifact:
    size, digest = store(blobs, f"layer-{version}", layer.path)
    name = f"layer-{version}.jsonl"
    return Artifact(name, "layer", TYPE, size, digest, f"layer-{version}", facts={"version": version})


def a_task(*artifacts: Artifact, options: Options | None = None) -> Task:
    return Task(
        id="1" * 32,
        job_id="2" * 32,
        kind="render",
        part=2,
        attempt=1,
        title="../Talk of “1961”.MP4",
        args={},
        options=options or Options(formats=tuple(FORMATS)),
        job_state="done",
        job_reason=None,
        artifacts=artifacts,
    )


def content(blobs: DirectoryBlobs, artifact: Artifact) -> bytes:
    with blobs.open(artifact.blob) as file:
        found = file.read()
    assert len(found) == artifact.bytes
    return found


def test_the_newest_layer_becomes_every_file_that_was_asked_for(
    blobs: DirectoryBlobs, folder: Path, a_layer: Maker
) -> None:
    layers = [
        kept(blobs, a_layer(Segment(0, 3, text)), version)
        for version, text in [(2, "Hello."), (10, "Bye."), (9, "No.")]
    ]
    result = render(a_task(*layers), blobs, folder, quiet)
    made = {artifact.name: artifact for artifact in result.artifacts}
    assert list(made) == [f"Talk of “1961”.{form}" for form in ("txt", "srt", "vtt", "json", "docx", "md")]
    assert content(blobs, made["Talk of “1961”.txt"]) == b"Bye.\n"
    assert json.loads(content(blobs, made["Talk of “1961”.json"]))["text"] == "Bye."
    assert {(artifact.kind, artifact.facts["version"]) for artifact in result.artifacts} == {("transcript", 10)}
    assert [artifact.type for artifact in result.artifacts] == [form.type for form in FORMATS.values()]
    assert (result.spent, result.next) == ([], ())
    assert result.passages == [Passage(0, 3, "Bye.")]


def test_files_keep_their_names_and_all_old_ones_are_spent(blobs: DirectoryBlobs, folder: Path, a_layer: Maker) -> None:
    def file(name: str, kind: ArtifactKind, media_type: str) -> Artifact:
        return Artifact(name, kind, media_type, 5, "0" * 64, f"blob-{name}")

    old = file("talk (1).txt", "transcript", FORMATS["txt"].type)
    other = file("talk.srt", "transcript", FORMATS["srt"].type)
    notes = file("notes.txt", "original", FORMATS["txt"].type)
    task = a_task(
        old, other, notes, kept(blobs, a_layer(Segment(0, 3, "Bye.")), 2), options=Options(formats=("txt", "vtt"))
    )
    result = render(task, blobs, folder, quiet)
    assert [artifact.name for artifact in result.artifacts] == ["talk (1).txt", "Talk of “1961”.vtt"]
    assert result.spent == [old, other]


def test_wishes_are_kept(blobs: DirectoryBlobs, folder: Path, a_layer: Maker) -> None:
    task = a_task(kept(blobs, a_layer(Segment(0, 3, "Bye.")), 1), options=Options(formats=("txt",), txt_times=True))
    (made,) = render(task, blobs, folder, quiet).artifacts
    assert content(blobs, made) == b"[00:00:00] Bye.\n"


def test_a_transcript_in_which_nothing_is_said_has_all_its_files(
    blobs: DirectoryBlobs, folder: Path, a_layer: Maker
) -> None:
    result = render(a_task(kept(blobs, a_layer(duration=600), 1)), blobs, folder, quiet)
    assert len(result.artifacts) == len(FORMATS)
    assert result.passages == []


@pytest.mark.parametrize("form", FORMATS)
def test_an_attempt_ends_in_the_middle_of_a_file_when_it_must(
    blobs: DirectoryBlobs, folder: Path, a_layer: Maker, form: str
) -> None:
    told = 0

    def progress(percent: float, speed: float | None = None) -> None:
        nonlocal told
        told += 1
        if told > 20:
            raise Interrupted

    layer = kept(blobs, a_layer(*(Segment(start, start + 1, "Hello.") for start in range(100))), 1)
    task = replace(a_task(layer), options=Options.model_validate({"formats": [form]}))
    with pytest.raises(Interrupted):
        render(task, blobs, folder, progress)
    assert [blob.id for blob in blobs.list()] == ["layer-1"]


def test_a_job_without_a_transcript_has_nothing_to_render(blobs: DirectoryBlobs, folder: Path) -> None:
    with pytest.raises(LookupError):
        render(a_task(), blobs, folder, quiet)
