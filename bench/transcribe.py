"""The transcriber beside a speech service that takes its time: parts at once, its own overhead, its memory."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import ceil
from pathlib import Path
from statistics import median

from sqlalchemy import Engine, Row, select

from bench.figures import Figure
from bench.media import repeat
from bench.sites import Servers
from bench.watch import forget_peak, resident
from dev.paid_api.server import PaidApi, serving
from pipeline.catalog import TaskRow
from pipeline.database import connect
from tests.client import Client
from tests.installation import Installation
from tests.recordings import make_speech

IN_FLIGHT, DELAY = 8, 20.0
MODEL = "gpt-4o-mini-transcribe"
"""It tells no times, so that its parts are short and many."""
WORDS_ALONE = {"preset": "voice", "sample_rate": "16000", "waveform": "no", "notify": ""}
HOURS = 12


def measure(folder: Path) -> Iterator[Figure]:
    hour = folder / "hour.flac"
    make_speech(hour, 60)
    api = PaidApi()
    given = {
        "SPOOL_SPEECH_KEY": api.key,
        "SPOOL_SPEECH_MODEL": MODEL,
        "SPOOL_SPEECH_IN_FLIGHT": str(IN_FLIGHT),
    }
    with (
        serving(api) as url,
        Servers() as servers,
        servers.on_directory(folder / "speech", SPOOL_SPEECH_URL=url, **given) as installation,
    ):
        yield from _measured(installation, api, hour, folder)


def _measured(installation: Installation, api: PaidApi, hour: Path, folder: Path) -> Iterator[Figure]:
    catalog, client = connect(installation.catalog), installation.client()
    api.delay = DELAY
    yield from _parallel(_tasks(catalog, _transcribed(client, hour)))
    api.delay = 0.0
    before, seconds = len(api.calls), api.seconds
    rows = _tasks(catalog, _transcribed(client, hour, language="en"))
    calls = len(api.calls) - before
    yield _overhead(rows, calls, api.seconds - seconds)
    yield _memory(installation, client, repeat(hour, folder / "day.flac", HOURS))


def _transcribed(client: Client, recording: Path, **options: str) -> str:
    job = client.upload(recording, **WORDS_ALONE, **options)["id"]
    ended = client.sign_in().ended(job, timeout=1800)
    assert ended["state"] == "done", ended
    return str(job)


def _tasks(catalog: Engine, job: str) -> Sequence[Row[tuple[str, datetime, datetime]]]:
    asked = select(TaskRow.kind, TaskRow.started_at, TaskRow.finished_at).where(TaskRow.job_id == job)
    with catalog.connect() as connection:
        return connection.execute(asked).all()  # type: ignore[return-value]


def _parallel(rows: Sequence[Row[tuple[str, datetime, datetime]]]) -> Iterator[Figure]:
    parts = [row for row in rows if row.kind == "transcribe"]
    ideal = ceil(len(parts) / IN_FLIGHT) * DELAY
    detail = f"{len(parts)} parts of 1 h, {DELAY:g} s a call, {IN_FLIGHT} in flight, ideal {ideal:g} s"
    last = max(row.finished_at for row in rows if row.kind == "merge")
    for begin, limit in (("transcribe", 1.2), ("cut", None)):
        first = min(row.started_at for row in rows if row.kind == begin)
        wall = (last - first).total_seconds()
        yield Figure(
            f"from the first {begin} to the transcripts", wall / ideal, limit, "x", f"{detail}, took {wall:.1f} s"
        )


def _overhead(rows: Sequence[Row[tuple[str, datetime, datetime]]], calls: int, service: float) -> Figure:
    """What an attempt takes beyond the service's own time; eight at once share two cores."""
    took = [(row.finished_at - row.started_at).total_seconds() for row in rows if row.kind == "transcribe"]
    beyond = median(took) - service / calls
    detail = f"median of {len(took)} parts {1000 * median(took):.0f} ms, of which the service {1000 * service / calls:.0f} ms"
    return Figure("our own overhead a part", 1000 * beyond, 100, "ms", detail)


def _memory(installation: Installation, client: Client, day: Path) -> Figure:
    transcriber = installation.services["transcriber"].child
    assert transcriber
    peak = resident(transcriber.pid, "VmHWM")
    forget_peak(transcriber.pid)
    _transcribed(client, day, formats="txt,srt,vtt,json,docx,md")
    detail = f"peak resident set, {IN_FLIGHT} parts in flight; 1 h {peak:.0f} MB, then {HOURS} h in all six formats"
    return Figure("a transcriber's memory", resident(transcriber.pid, "VmHWM"), 150, "MB", detail)
