"""The converter: a long recording beside bare ffmpeg and beside moviepy, what each of its stages costs, and its memory."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import tutorial
from bench.embedded import until_mp3
from bench.figures import Figure, ratio
from bench.media import bare, bare_halves, bare_three, make_mp4, repeat
from bench.sites import Servers
from bench.stages import Costs, costs, processor_time
from bench.watch import forget_peak, resident
from dev.waiting import eventually
from pipeline.audio import AudioFormat
from pipeline.options import Options
from tests.client import ENDED, Client
from tests.installation import Installation

MINUTES, SHORT_MINUTES, HOURS, RUNS = 30, 8, 3, 3
"""The short recording stays in one piece."""
PAIRS = 9
"""Of the short one: the time of a core that the same work takes differs by a tenth from one run to the next."""
SECOND = "second converter"
THREE: tuple[AudioFormat, ...] = ("mp3", "opus", "flac")
MP3_ALONE = {"waveform": "no", "transcribe": "no", "notify": ""}
GLANCE = 0.5
"""Seconds between two looks at a job: one each 50 ms took a tenth from the converter that is measured."""
SLACK = 2**20
"""Bytes of a folder that the formula of docs/operations.md leaves to small files."""


def measure(folder: Path) -> Iterator[Figure]:
    tutorial.install()
    recording, short = make_mp4(folder / "long.mp4", MINUTES * 60), make_mp4(folder / "short.mp4", SHORT_MINUTES * 60)
    yield from _stages(recording, short, folder)
    longest = repeat(recording, folder / "longest.mp4", HOURS * 60 // MINUTES)
    with Servers() as servers:
        for store, install in (("a directory", servers.on_directory), ("GridFS", servers.on_gridfs)):
            with install(folder / store.split()[-1]) as installation:
                yield from _installed(installation, store, recording, longest)


def _stages(recording: Path, short: Path, folder: Path) -> Iterator[Figure]:
    alone = Options(waveform=False, transcribe=False)
    runs = [costs(recording, folder / "cpu", alone) for _ in range(RUNS)]
    yield _join(runs)
    yield _three(short, folder)
    yield from _disk(recording, short, folder)


def _join(runs: Sequence[Costs]) -> Figure:
    shares = [100 * run.processor("join") / run.processor("encode") for run in runs]
    parts = sum(cost.kind == "encode" for cost in runs[0].stages)
    return Figure(
        "join beside its encodes", median(shares), 2, "%", f"time of a core, {MINUTES} min in {parts} parts", (*shares,)
    )


def _three(short: Path, folder: Path) -> Figure:
    """One decoding for three files."""
    options = Options(audio=THREE, waveform=False, transcribe=False)
    ours, theirs = [], []
    for _ in range(PAIRS):
        theirs.append(_processor(lambda: bare_three(short, folder)))
        ours.append(costs(short, folder / "cpu", options).processor("encode"))
    detail = f"time of a core, {SHORT_MINUTES} min, {PAIRS} pairs"
    return ratio("MP3, Opus and FLAC beside one ffmpeg", ours, theirs, 1.05, detail)


def _processor(work: Callable[[], object]) -> float:
    began = processor_time()
    work()
    return processor_time() - began


def _disk(recording: Path, short: Path, folder: Path) -> Iterator[Figure]:
    """The most that the folder of a stage holds, beside what docs/operations.md says of it."""
    long = costs(recording, folder / "disk", Options(transcribe=False), disk=True)
    several = costs(short, folder / "disk", Options(audio=THREE, waveform=False, transcribe=False), disk=True)
    (track,), (audio,), parts, three = (
        long.sizes("track"),
        long.sizes("audio"),
        long.sizes("part"),
        several.sizes("audio"),
    )
    yield _room("extract", long.disk("extract"), track)
    yield _room("encode of a part", long.disk("encode"), track + max(parts))
    yield _room("encode of three files", several.disk("encode"), sum(several.sizes("track")) + sum(three) + max(three))
    yield _room("join", long.disk("join"), sum(parts))
    yield _room("draw", long.disk("draw"), audio + 16 * SLACK)


def _room(stage: str, held: int, formula: int) -> Figure:
    detail = f"{held / 1e6:.1f} MB, by the formula {formula / 1e6:.1f}"
    return Figure(f"disk: {stage}", held / (formula + SLACK), 1, "x", detail)


@dataclass
class _Rounds:
    """Seconds of each way to make the MP3, run in turn."""

    bare: list[float] = field(default_factory=list)
    halves: list[float] = field(default_factory=list)
    moviepy: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    two: list[float] = field(default_factory=list)


def _installed(installation: Installation, store: str, recording: Path, longest: Path) -> Iterator[Figure]:
    installation.services["transcriber"].stop()
    yield from _ratios(_rounds(installation, recording), store)
    yield _memory(installation, store, recording, longest)
    installation.services["transcriber"].start()
    yield from _as_usual(installation, store, recording)


def _rounds(installation: Installation, recording: Path) -> _Rounds:
    rounds, target = _Rounds(), installation.folder / "other.mp3"
    for _ in range(RUNS):
        rounds.bare.append(_seconds(lambda: bare(recording, target)))
        rounds.one.append(_alone(installation, recording))
        rounds.moviepy.append(tutorial.encode(recording, target))
        with_second(installation)
        rounds.halves.append(_seconds(lambda: bare_halves(recording, installation.folder, MINUTES * 60)))
        rounds.two.append(_alone(installation, recording))
        installation.services[SECOND].stop()
    return rounds


def _ratios(rounds: _Rounds, store: str) -> Iterator[Figure]:
    what = f"{MINUTES} min to the MP3's link on {store}"
    one, two, moviepy = (f"median {median(times):.2f} s" for times in (rounds.one, rounds.two, rounds.moviepy))
    bare_ = f"bare ffmpeg {median(rounds.bare):.2f} s, {RUNS} pairs"
    yield ratio(f"{store}: 1 converter beside bare", rounds.one, rounds.bare, 1.10, f"{what}, {one}, {bare_}")
    yield ratio(f"{store}: 2 converters beside bare", rounds.two, rounds.bare, 0.65, f"{what}, {two}, {bare_}")
    halves = f"no parts, no upload: what these cores can do, median {median(rounds.halves):.2f} s"
    yield ratio(f"{store}: 2 bare halves at once beside bare", rounds.halves, rounds.bare, None, halves)
    yield ratio(
        f"{store}: moviepy beside 2 converters",
        rounds.moviepy,
        rounds.two,
        2.5,
        f"moviepy 1.0.3: {moviepy}, {RUNS} pairs",
        at_least=True,
    )


def _memory(installation: Installation, store: str, recording: Path, longest: Path) -> Figure:
    """Of a converter that does all of a recording, waveform and all, and then of one six times as long."""
    converter = installation.services["converter"].child
    assert converter
    forget_peak(converter.pid)
    peaks = []
    for path in (recording, longest):
        with _job(installation) as client:
            job = client.upload(path, transcribe="no", notify="")["id"]
            _ended(client, job)
        peaks.append(resident(converter.pid, "VmHWM"))
    detail = f"peak resident set without ffmpeg, after {MINUTES} min {peaks[0]:.0f} MB, then after {HOURS} h"
    return Figure(f"{store}: a converter's memory", peaks[-1], 120, "MB", detail, (*peaks,))


def _as_usual(installation: Installation, store: str, recording: Path) -> Iterator[Figure]:
    """With the options that hold if none are given: a transcript and a waveform are made as well."""
    target = installation.folder / "other.mp3"
    for converters in (1, 2):
        if converters == 2:
            with_second(installation)
        alone = _seconds(lambda: bare(recording, target))
        with _job(installation) as client:
            _, ours = until_mp3(client, recording, GLANCE)
        yield ratio(f"{store}: the same, nothing chosen", [ours], [alone], None, f"converters: {converters}, 1 pair")
    installation.services[SECOND].stop()


def with_second(installation: Installation) -> None:
    """Until both wait for work."""
    installation.worker("converter", SECOND)
    eventually(lambda: installation.idle("encode") == 2)


def _alone(installation: Installation, recording: Path) -> float:
    """Seconds from the first byte up until the catalog has the MP3, by which the job ends."""
    with _job(installation) as client:
        began = datetime.now(UTC)
        job = client.upload(recording, **MP3_ALONE)["id"]
        ended = datetime.fromisoformat(_ended(client, job)["finished_at"])
        return (ended - began).total_seconds()


@contextmanager
def _job(installation: Installation) -> Iterator[Client]:
    """A client, whose jobs are gone afterwards, and all converters idle."""
    client = installation.client()
    yield client
    for job in client.jobs():
        client.http.delete(f"/v1/jobs/{job['id']}").raise_for_status()
    eventually(lambda: installation.idle("encode") == len(_converters(installation)), timeout=60)
    client.close()


def _ended(client: Client, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = client.job(job_id)
        return job if job["state"] in ENDED else None

    job = eventually(look, timeout=900, interval=GLANCE)
    assert job is not None
    assert job["state"] == "done", job
    return job


def _converters(installation: Installation) -> Sequence[str]:
    services = installation.services.items()
    return [
        name for name, service in services if "converter" in name and service.child and service.child.poll() is None
    ]


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
