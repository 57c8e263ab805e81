"""All that a user has goes out at once, and a client that mirrors it follows whatever happens to it."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx

from dev.waiting import eventually
from tests.client import ENDED, Client, artifact
from tests.embedded import Embedded
from tests.installation import Installation
from tests.recordings import unlike

Suite = Embedded | Installation
SETTLED = 30
"""Seconds within which a change is told; it takes ten."""


class Cut(Exception):
    """The mirror was ended in its midst."""


class Mirror:
    """A client that keeps a folder as the library is. What it knows is in the folder, so that another goes on."""

    def __init__(
        self, client: Client, folder: Path, others: Sequence[str], cursor: str, cut_after: int | None = None
    ) -> None:
        """It leaves out the jobs `others`, and begins at `cursor` where the folder is empty."""
        self.client, self.folder, self.others, self.left = client, folder, others, cut_after
        self._first: dict[str, Any] = {"cursor": cursor, "jobs": {}}
        self.fetched = 0

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def sync(self) -> None:
        """Until nothing is left to be told. Raises Cut after so many files."""
        more = True
        while more:
            known: dict[str, Any] = json.loads(self._state.read_text()) if self._state.exists() else self._first
            query: dict[str, Any] = {"limit": 2, "cursor": known["cursor"]}
            page = self.client.http.get("/v1/exports/changes", params=query).raise_for_status().json()
            for item in (item for item in page["items"] if item["job"] not in self.others):
                known["jobs"][item["job"]] = self._apply(item, known["jobs"].get(item["job"], []))
            self._state.write_text(json.dumps({**known, "cursor": page["cursor"]}))
            more = page["more"]

    def _apply(self, item: dict[str, Any], before: Sequence[str]) -> list[str]:
        now_there = [file["name"] for file in item["files"]]
        for name in set(before) - set(now_there):
            (self.folder / name).unlink()
        for file in item["files"]:
            self._keep(file)
        return now_there

    def _keep(self, file: dict[str, Any]) -> None:
        path = self.folder / file["name"]
        if path.exists() and sha256(path.read_bytes()) == file["sha256"]:
            return
        if self.left == 0:
            raise Cut
        self.left = None if self.left is None else self.left - 1
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.client.http.get(file["href"]).raise_for_status().content)
        self.fetched += 1

    def files(self) -> dict[str, str]:
        """The SHA-256 of each file by its name in the folder."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and path != self._state)
        return {str(path.relative_to(self.folder)): sha256(path.read_bytes()) for path in found}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def library(client: Client, others: Sequence[str] = ()) -> list[str]:
    """The SHA-256 of every file of every job that has ended, but for the `others`."""
    mine = [job for job in client.jobs() if job["state"] in ENDED and job["id"] not in others]
    return sorted(found["sha256"] for job in mine for found in job["artifacts"])


def follows(mirror: Mirror) -> None:
    """Waits until the mirror is as the library."""

    def look() -> bool:
        mirror.sync()
        return sorted(mirror.files().values()) == library(mirror.client, mirror.others)

    assert eventually(look, SETTLED, interval=0.5)


def a_job(client: Client, clip: Path, folder: Path, name: str = "clip.mp4", **options: str) -> dict[str, Any]:
    path = folder / "clip.mp4"
    path.write_bytes(unlike(clip.read_bytes()))
    return client.ended(client.upload(path, name, **{"notify": "", "waveform": "no", **options})["id"])


def exported(client: Client, **wanted: Any) -> dict[str, Any]:
    answer = client.http.post("/v1/exports", json={"notify": [], **wanted}).raise_for_status()

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.http.get(answer.headers["Location"]).raise_for_status().json()
        return found if found["state"] in ENDED else None

    export = eventually(look, 60)
    assert export is not None
    assert export["state"] == "done"
    return export


def manifest(client: Client, export: dict[str, Any], name: str) -> str:
    (found,) = [made for made in export["manifests"] if made["name"] == name]
    return client.http.get(found["href"]).raise_for_status().text


def stranger(url: str) -> bytes:
    """What somebody gets who has not signed in."""
    return httpx.get(url, timeout=30, trust_env=False).raise_for_status().content


def test_an_export_has_every_file(suite: Suite, client: Client, clip: Path, tmp_path: Path) -> None:
    tag = token_hex(8)
    job = a_job(client, clip, tmp_path, "Gespräch.mp4", title='=HYPERLINK("x"), CON', tags=tag)
    export = exported(client, tags=[tag])
    assert (export["files"], export["jobs"]) == (len(job["artifacts"]), 1)
    lines = [json.loads(line) for line in manifest(client, export, "manifest.jsonl").splitlines()]
    assert sorted(line["sha256"] for line in lines) == sorted(found["sha256"] for found in job["artifacts"])
    for line in lines:
        content = stranger(line["link"])
        assert (len(content), sha256(content)) == (line["size"], line["sha256"])
    rows = list(csv.DictReader(io.StringIO(manifest(client, export, "manifest.csv"), newline=""), strict=True))
    assert [row["sha256"] for row in rows] == [line["sha256"] for line in lines]
    assert {row["title"] for row in rows} == {'\'=HYPERLINK("x"), CON'}

    zipped = stranger(str(httpx.URL(suite.url).join(export["link"])))
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        inside = {name: sha256(archive.read(name)) for name in archive.namelist() if "/" in name}
        archive.extractall(tmp_path / "out")
    assert inside == {line["name"]: line["sha256"] for line in lines}
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == len(lines) + 2


def test_what_is_wanted_is_what_comes(client: Client, clip: Path, tmp_path: Path) -> None:
    tag = token_hex(8)
    a_job(client, clip, tmp_path, transcribe="no")
    tagged = a_job(client, clip, tmp_path, transcribe="no", tags=tag)
    export = exported(client, tags=[tag], artifacts=["audio"])
    (line,) = [json.loads(line) for line in manifest(client, export, "manifest.jsonl").splitlines()]
    assert line["fid"] == artifact(tagged, "clip.mp3")["fid"]


def test_the_mail_about_an_export_is_sent(suite: Suite, client: Client) -> None:
    export = exported(client, tags=[token_hex(8)], notify=["ada@example.org"])
    assert eventually(lambda: suite.mails_about(export["id"]))


def test_a_mirror_ends_with_the_same_files_whatever_happens(client: Client, clip: Path, tmp_path: Path) -> None:
    others = [job["id"] for job in client.jobs()]
    cursor = exported(client, tags=[token_hex(8)])["cursor"]
    first, second = (a_job(client, clip, tmp_path, name) for name in ("one.mp4", "two.mp4"))
    (tmp_path / "mirror").mkdir()
    cut = Mirror(client, tmp_path / "mirror", others, cursor, cut_after=7)

    def is_cut() -> bool:
        try:
            cut.sync()
        except Cut:
            return True
        return False

    assert eventually(is_cut, SETTLED, interval=0.5)
    assert len(cut.files()) == cut.fetched == 7

    client.http.delete(f"/v1/jobs/{first['id']}").raise_for_status()
    correct(client, second["id"])
    third = a_job(client, clip, tmp_path, "three.mp4", transcribe="no")
    again = Mirror(client, tmp_path / "mirror", others, cursor)
    follows(again)
    assert sorted({name.partition(" (")[0] for name in again.files()}) == ["three", "two"]
    (text,) = (tmp_path / "mirror").rglob("two.txt")
    assert "Hares run faster." in text.read_text()

    client.http.delete(f"/v1/jobs/{second['id']}").raise_for_status()
    later = Mirror(client, tmp_path / "mirror", others, cursor)
    follows(later)
    assert later.fetched == 0
    assert {Path(name).name for name in later.files()} == {made["name"] for made in third["artifacts"]}


def correct(client: Client, job_id: str) -> None:
    segments = [{"start": 0, "end": 2, "text": "Hares run faster."}]
    path = f"/v1/jobs/{job_id}/transcript"
    client.http.put(path, json={"segments": segments}, headers={"If-Match": '"1"'}).raise_for_status()
    assert client.ended(job_id)["state"] == "done"
