"""What sync does for an export: `export`, which writes down what files there are."""

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from pipeline.blobs import BlobStore, Writer
from pipeline.exports import LINES, TABLE, ManifestLine, Totals
from pipeline.fingerprint import Fingerprint
from pipeline.library import Library, Recording, Wanted
from pipeline.links import links
from pipeline.settings import Settings
from pipeline.work import Artifact, Handler, Progress, Result, Task

Address = Callable[[str], str]
"""Makes of a `fid` a signed address."""
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""And the same in full width, as Japanese spreadsheets take them."""


class Manifest:
    """Both forms of a manifest, while they are written."""

    def __init__(self, lines: Writer, table: Writer) -> None:
        self._lines, self._table = _Text(lines), _Text(table)
        self._rows = csv.writer(self._table, quoting=csv.QUOTE_ALL)
        self._rows.writerow(ManifestLine.model_fields)
        self.files = self.bytes = 0

    def add(self, line: ManifestLine) -> None:
        self._lines.write(line.model_dump_json() + "\n")
        self._rows.writerow([harmless(str(value)) for value in line.model_dump(mode="json").values()])
        self.files, self.bytes = self.files + 1, self.bytes + line.size

    def artifacts(self, lines_blob: str, table_blob: str, totals: Totals) -> list[Artifact]:
        return [
            self._lines.artifact(LINES, "application/jsonl", lines_blob, totals),
            self._table.artifact(TABLE, "text/csv", table_blob, totals),
        ]


class _Text:
    """UTF-8 on its way into a blob."""

    def __init__(self, target: Writer) -> None:
        self._target, self._written = target, Fingerprint()

    def write(self, text: str) -> None:
        data = text.encode()
        self._target.write(data)
        self._written.add(data)

    def artifact(self, name: str, media_type: str, blob: str, totals: Totals) -> Artifact:
        facts, written = totals.model_dump(), self._written
        return Artifact(name, "manifest", media_type, written.bytes, written.hexdigest(), blob, facts=facts)


def export(
    task: Task, blobs: BlobStore, _folder: Path, progress: Progress, *, library: Library, address: Address
) -> Result:
    """Writes manifests of what `task.args` ask for, see `pipeline.library.Wanted`: as JSON lines, and as a table (RFC 4180)."""
    wanted, cursor, jobs = Wanted.model_validate(task.args), library.cursor(), 0
    total = library.count(task.owner, wanted)
    names = task.blob_id("jsonl"), task.blob_id("csv")
    with blobs.create(names[0]) as lines, blobs.create(names[1]) as table:
        manifest = Manifest(lines, table)
        for seen, recording in enumerate(library.recordings(task.owner, wanted)):
            progress(100 * seen / max(total, 1))
            jobs += bool(recording.files)
            for line in _lines(recording, address):
                manifest.add(line)
    totals = Totals(files=manifest.files, bytes=manifest.bytes, jobs=jobs, cursor=cursor)
    return Result(manifest.artifacts(*names, totals))


def exporter(settings: Settings, catalog: Engine) -> Handler:
    """`export`, with the keys that sign links bound. Raises SystemExit for keys that could be guessed."""
    signed, base = links(settings), (settings.public_url or "").rstrip("/")
    return partial(export, library=Library(catalog), address=lambda fid: f"{base}/v1/links/{signed.sign(fid)}")


def _lines(recording: Recording, address: Address) -> Iterator[ManifestLine]:
    for file in recording.files:
        found = file.artifact
        yield ManifestLine(
            name=file.name,
            size=found.bytes,
            sha256=found.sha256,
            link=address(found.id),
            job=recording.id,
            title=recording.title,
            fid=found.id,
            type=found.type,
            kind=found.kind,
            created_at=recording.created_at,
        )


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, see OWASP's "CSV Injection"."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
