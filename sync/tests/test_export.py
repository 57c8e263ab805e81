"""The handler on a real catalog: what an export says that there is."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.exports import Exports, Totals
from pipeline.jobs import Job, Jobs, NewJob
from pipeline.links import Links
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER, a_recording, work_through
from pipeline.work import Artifact, NextTask
from sync.export import exporter, harmless

KEY, URL = "k" * 32, "https://spool.example.org/"
STRANGER = "b" * 32


@pytest.fixture
def export(catalog: Engine, store: DirectoryBlobs, tmp_path: Path) -> Callable[..., Job]:
    """An export of what it is asked for, as a worker does it."""
    handle = exporter(Settings(link_keys=SecretStr(KEY), public_url=URL), catalog)

    def run(progress: Callable[..., None] = lambda *_: None, **wanted: Any) -> Job:
        tasks, options = Tasks(catalog), Options(notify=(ADDRESS,))
        new = NewJob(OWNER, "Export", first=NextTask("export", args=wanted), options=options)
        (message,) = Exports(catalog).create(new)
        task = tasks.claim(message.task_id, "worker")
        assert task is not None
        folder = tmp_path / task.id
        folder.mkdir()
        tasks.finish(task, handle(task, store, folder, progress))
        found = Jobs(catalog, "export").get(OWNER, new.id)
        assert found is not None
        return found

    return run


@pytest.fixture
def talk(catalog: Engine, store: DirectoryBlobs) -> Callable[..., Job]:
    """A recording that is done."""

    def make(title: str = "talk.mp4", **asked: Any) -> Job:
        return work_through(catalog, store, a_recording(catalog, store, title.encode(), title, **asked))

    return make


def text(store: DirectoryBlobs, manifest: Artifact) -> str:
    with store.open(manifest.blob) as blob:
        content = blob.read()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (manifest.bytes, manifest.sha256)
    return content.decode()


def lines(store: DirectoryBlobs, export: Job) -> list[dict[str, Any]]:
    (manifest,) = [made for made in export.artifacts if made.name == "manifest.jsonl"]
    return [json.loads(line) for line in text(store, manifest).splitlines()]


def table(store: DirectoryBlobs, export: Job) -> list[dict[str, str]]:
    (manifest,) = [made for made in export.artifacts if made.name == "manifest.csv"]
    return list(csv.DictReader(io.StringIO(text(store, manifest), newline=""), strict=True))


def names(found: Sequence[dict[str, Any]]) -> list[str]:
    return [line["name"].partition("/")[2] for line in found]


def test_a_manifest_names_every_file(
    store: DirectoryBlobs, export: Callable[..., Job], talk: Callable[..., Job]
) -> None:
    job = talk()
    done = export()
    assert (done.state, done.percent) == ("done", 100)
    by_fid = {line["fid"]: line for line in lines(store, done)}
    assert len(by_fid) == len(job.artifacts) == 8
    for found in job.artifacts:
        line = by_fid[found.id]
        assert line["name"] == f"talk ({job.id[:12]})/{found.name}"
        assert (line["size"], line["sha256"], line["type"], line["kind"]) == (
            found.bytes,
            found.sha256,
            found.type,
            found.kind,
        )
        assert (line["job"], line["title"]) == (job.id, "talk.mp4")
    totals = Totals.model_validate(done.artifacts[0].facts)
    assert (totals.files, totals.jobs) == (8, 1)
    assert totals.bytes == sum(found.bytes for found in job.artifacts)


def test_its_links_open_the_files(store: DirectoryBlobs, export: Callable[..., Job], talk: Callable[..., Job]) -> None:
    talk()
    for line in lines(store, export()):
        base, _, token = line["link"].rpartition("/")
        assert base == "https://spool.example.org/v1/links"
        grant = Links([KEY], 60).open(token)
        assert (grant.kind, grant.id) == ("file", line["fid"])


def test_the_table_says_the_same(store: DirectoryBlobs, export: Callable[..., Job], talk: Callable[..., Job]) -> None:
    talk('a "talk", in\nlines; 1.mp4')
    talk("talk.mp4")
    done = export()
    assert table(store, done) == [{name: str(value) for name, value in line.items()} for line in lines(store, done)]


@pytest.mark.parametrize("first", "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
def test_no_cell_is_a_formula(
    store: DirectoryBlobs, export: Callable[..., Job], talk: Callable[..., Job], first: str
) -> None:
    title = f"{first}HYPERLINK(1)"
    talk(title)
    rows = table(store, export())
    assert {row["title"] for row in rows} == {f"'{title}"}
    assert not any(cell.startswith(first) for row in rows for cell in row.values())
    assert harmless("talk = 1") == "talk = 1"


@pytest.mark.parametrize(
    ("artifacts", "expected"),
    [
        (["audio"], ["talk.mp3"]),
        (["original", "srt"], ["talk.mp4", "talk.srt"]),
        (["waveform"], ["talk.waveform.json", "talk.waveform.png"]),
        (["json"], ["talk.json"]),
        (["transcript"], ["talk.json", "talk.srt", "talk.txt", "talk.vtt"]),
    ],
)
def test_files_are_chosen_by_kind_and_format(
    store: DirectoryBlobs,
    export: Callable[..., Job],
    talk: Callable[..., Job],
    artifacts: list[str],
    expected: list[str],
) -> None:
    talk()
    assert sorted(names(lines(store, export(artifacts=artifacts)))) == expected


def test_an_export_of_nothing_is_empty(store: DirectoryBlobs, export: Callable[..., Job]) -> None:
    done = export(tags=["none"])
    assert (done.state, lines(store, done), table(store, done)) == ("done", [], [])


def test_only_what_is_ones_own_and_has_ended_is_exported(
    catalog: Engine, store: DirectoryBlobs, export: Callable[..., Job], talk: Callable[..., Job]
) -> None:
    talk()
    a_recording(catalog, store, b"others'", owner=STRANGER)
    a_recording(catalog, store, b"not yet")
    assert {line["title"] for line in lines(store, export())} == {"talk.mp4"}
    assert {line["title"] for line in lines(store, export())} == {"talk.mp4"}, "an export is no recording"


def test_progress_is_told_for_each_recording(export: Callable[..., Job], talk: Callable[..., Job]) -> None:
    for number in range(4):
        talk(f"{number}.mp4")
    told: list[float] = []
    export(lambda percent, *_: told.append(percent))
    assert told == [0, 25, 50, 75]
