"""Many files in a Dropbox that fails, found by workers that are killed: each becomes one job."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import func, select

from dev.dropbox.stand_in import DropboxStandIn
from dev.waiting import eventually
from pipeline.catalog import ArtifactRow, JobRow
from pipeline.database import connect, transaction
from tests import connecting
from tests.client import Client
from tests.installation import Installation

pytestmark = pytest.mark.servers
FILES = 500
MOST_CALLS = int(1.1 * FILES) + 30
FAULTS = ("429", "500", "503", "close", "lost", "cut", "wrong", "expired", "reset", "html")
"""Each of them twice, as the work goes on."""
KILLED_AT = (3, 6)


@pytest.fixture
def installation(install: Callable[..., Installation], dropbox_stand_in: DropboxStandIn) -> Iterator[Installation]:
    """Without converters: a job is as it was found."""
    given = connecting.settings(dropbox_stand_in)
    with install(SPOOL_DROPBOX_SWEEP_SECONDS="20", SPOOL_DROPBOX_WEBHOOK="true", **given) as running:
        running.services["converter"].stop()
        yield running


@pytest.fixture
def client(installation: Installation) -> Iterator[Client]:
    found = installation.client()
    yield found
    found.close()


def recording(number: int) -> bytes:
    """Of a kind that is fetched; nobody listens to it."""
    return b"ID3\x04" + number.to_bytes(4, "big") + bytes(number % 97 + 2000)


def found(installation: Installation) -> Counter[str]:
    """How many jobs there are of each title."""
    engine = connect(installation.catalog)
    with transaction(engine) as session:
        jobs = session.scalars(select(JobRow.title).where(JobRow.kind == "recording")).all()
    engine.dispose()
    return Counter(jobs)


def fetched(installation: Installation) -> dict[str, str]:
    """SHA-256 of each recording by its name."""
    engine = connect(installation.catalog)
    with transaction(engine) as session:
        originals = select(ArtifactRow.name, ArtifactRow.sha256).where(ArtifactRow.kind == "original")
        rows = session.execute(originals).all()
    engine.dispose()
    return dict(rows)


def has(installation: Installation, files: int) -> bool:
    return count(installation) >= files


def count(installation: Installation) -> int:
    engine = connect(installation.catalog)
    with transaction(engine) as session:
        number = session.scalar(select(func.count()).where(ArtifactRow.kind == "original")) or 0
    engine.dispose()
    return number


def test_each_of_many_files_becomes_one_job(
    installation: Installation, client: Client, dropbox_stand_in: DropboxStandIn
) -> None:
    account, sync = dropbox_stand_in.account, installation.services["sync"]
    expected = {}
    for number in range(FILES):
        name, content = f"talk-{number:03}.mp3", recording(number)
        connecting.put(account, f"/Recordings/{number % 7}/{name}", content)
        expected[name] = hashlib.sha256(content).hexdigest()
    dropbox_stand_in.page = 100
    connection = connecting.connect(client, dropbox_stand_in, "/Recordings", results="none")
    for step, fault in enumerate(FAULTS):
        share = step / len(FAULTS)
        eventually(partial(has, installation, int(share * FILES)), timeout=120)
        dropbox_stand_in.fail(fault, fault)
        if step in KILLED_AT:
            sync.kill()
            sync.start()
    eventually(partial(has, installation, FILES), timeout=180)
    eventually(lambda: dropbox_stand_in.faults_left == 0, timeout=60)

    assert fetched(installation) == expected
    assert found(installation) == Counter(dict.fromkeys(expected, 1))
    assert dropbox_stand_in.api_calls <= MOST_CALLS, dropbox_stand_in.calls

    dropbox_stand_in.reset_counters()
    connecting.sync(client, connection)
    assert dropbox_stand_in.api_calls <= 3, dropbox_stand_in.calls
    assert (dropbox_stand_in.downloaded, count(installation)) == (0, FILES)
