"""A connected Dropbox on real servers: what hundreds of files cost in calls, and what large ones cost in memory."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.figures import Figure
from bench.sites import Servers
from bench.watch import forget_peak, resident
from dev.dropbox.content import Pattern
from dev.dropbox.server import serving
from dev.dropbox.stand_in import DropboxStandIn
from dev.waiting import eventually
from tests import connecting
from tests.client import Client
from tests.installation import Installation

FILES, LARGE = 500, 2 * 10**9
"""Files, and bytes of one."""


def measure(folder: Path) -> Iterator[Figure]:
    stand_in = DropboxStandIn()
    with Servers() as servers, serving(stand_in, folder):
        given = connecting.settings(stand_in)
        for name, prepare in ("GridFS", servers.on_gridfs), ("a directory", servers.on_directory):
            with prepare(folder / name.split()[-1].lower(), **given) as installation:
                installation.services["converter"].stop()  # a job is as it was found
                yield from _measured(name, installation, stand_in)


def _measured(store: str, installation: Installation, stand_in: DropboxStandIn) -> Iterator[Figure]:
    client, root = installation.client(), f"/{store.split()[-1]}"
    stand_in.account.folder(root)
    connection = connecting.connect(client, stand_in, root, results="none")
    stand_in.reset_counters()
    for number in range(FILES):
        connecting.put(stand_in.account, f"{root}/talk-{number}.mp3", b"ID3\x04" + f"{root} {number}".encode() * 200)
    connecting.sync(client, connection)
    eventually(partial(_are_fetched, client, FILES), timeout=600, interval=1)
    yield Figure(f"{FILES} files, {store}: calls", stand_in.api_calls, 1.1 * FILES + 30, "calls", "without longpolls")
    stand_in.reset_counters()
    connecting.sync(client, connection)
    yield Figure(f"nothing new, {store}: calls", stand_in.api_calls, 3, "calls", f"{stand_in.downloaded} bytes")
    yield _memory(store, installation, client, stand_in, connection)


def _memory(
    store: str, installation: Installation, client: Client, stand_in: DropboxStandIn, connection: str
) -> Figure:
    sync = installation.services["sync"].child
    assert sync
    forget_peak(sync.pid)
    before = resident(sync.pid)
    connecting.put(stand_in.account, f"/{store.split()[-1]}/large.mp3", Pattern(LARGE))
    connecting.sync(client, connection)
    eventually(partial(_are_fetched, client, FILES + 1), timeout=600, interval=1)
    detail = f"peak resident set; {before:.0f} MB after {FILES} small files"
    return Figure(f"2 GB file, {store}: sync worker", resident(sync.pid, "VmHWM"), 150, "MB", detail)


def _are_fetched(client: Client, number: int) -> bool:
    client.sign_in()
    jobs = client.jobs()
    return len(jobs) == number and all(_stage(job, "fetch") == "done" for job in jobs)


def _stage(job: dict[str, object], name: str) -> object:
    stages = job["stages"]
    assert isinstance(stages, list)
    return next((stage["state"] for stage in stages if stage["name"] == name), None)
