"""What is known of results that were put into connected accounts, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import Engine, func, select, update

from pipeline.catalog import FolderRow, RemoteFileRow, ReturnedFileRow
from pipeline.connections import Connections
from pipeline.database import transaction
from pipeline.jobs import Jobs, NewJob
from pipeline.tests.makers import ADDRESS, OWNER
from pipeline.wishes import Wishes
from sync.dropbox.account import RemoteFile
from sync.dropbox.returned_files import Outcome, ReturnedFiles

TALK = "id:talk"


@pytest.fixture
def connection_id(catalog: Engine) -> str:
    begun, _ = Connections(catalog).begin(OWNER, Wishes(folders=("/Talks",)), "a code", ADDRESS)
    return begun.id


@pytest.fixture
def words(catalog: Engine, connection_id: str) -> Outcome:
    """The text of a recording that was found there."""
    return Outcome(connection_id, _job_of(catalog, connection_id, TALK), "talk.txt", "1" * 64, 1)


def _job_of(catalog: Engine, connection_id: str, remote_id: str) -> str:
    job, _ = Jobs(catalog).create(NewJob(OWNER, "talk.mp4", connection_id=connection_id))
    with transaction(catalog) as session:
        folder = session.scalar(select(FolderRow.id).where(FolderRow.connection_id == connection_id))
        known = {"path": "/Talks/talk.mp4", "path_lower": "/talks/talk.mp4", "rev": "1", "size": 1, "state": "taken"}
        known |= {"content_hash": "9" * 64, "modified_at": datetime.now(UTC), "folder_id": folder}
        row = RemoteFileRow(id=uuid4().hex, connection_id=connection_id, remote_id=remote_id, job_id=job.id, **known)
        session.add(row)
    return job.id


def _there(outcome: Outcome, remote_id: str = "id:words") -> RemoteFile:
    moment = datetime.now(UTC)
    return RemoteFile(remote_id, "/Talks/talk.txt", outcome.content_hash[:9], 5, outcome.content_hash, moment, True)


def test_a_job_knows_the_file_it_was_made_of(catalog: Engine, words: Outcome) -> None:
    ledger = ReturnedFiles(catalog)
    assert ledger.source(words.connection_id, words.job_id) == TALK
    assert ledger.source("another", words.job_id) is None
    with transaction(catalog) as session:
        session.execute(update(RemoteFileRow).values(state="gone"))
    assert ledger.source(words.connection_id, words.job_id) is None


def test_what_has_begun_is_not_there_yet(catalog: Engine, words: Outcome) -> None:
    ledger = ReturnedFiles(catalog)
    ledger.begin(words, "/Talks/talk.txt")
    assert ledger.last(words) is None
    assert ledger.knows(words, _there(words))
    ledger.complete(words, _there(words))
    last = ledger.last(words)
    assert last
    assert (last.remote_id, last.path, last.version) == ("id:words", "/Talks/talk.txt", 1)


def test_each_content_has_one_row_and_the_last_counts(catalog: Engine, words: Outcome) -> None:
    ledger, better = ReturnedFiles(catalog), replace(words, content_hash="2" * 64, version=2)
    for outcome in (words, better, words, better, replace(words, version=5)):
        ledger.begin(outcome, "/Talks/talk.txt")
        ledger.complete(outcome, _there(outcome))
        last = ledger.last(words)
        assert last
        assert (last.content_hash, last.version) == (outcome.content_hash, outcome.version)
    with transaction(catalog) as session:
        assert session.scalar(select(func.count()).select_from(ReturnedFileRow)) == 2


def test_results_are_told_apart_by_their_names_and_jobs(catalog: Engine, words: Outcome) -> None:
    ledger = ReturnedFiles(catalog)
    ledger.complete(words, _there(words))
    other = replace(words, job_id=_job_of(catalog, words.connection_id, "id:other"))
    for different in (replace(words, name="talk.srt"), other):
        assert ledger.last(different) is None
        assert not ledger.knows(different, _there(words))


def test_a_result_is_outdated_once_its_recording_has_another_content(catalog: Engine, words: Outcome) -> None:
    ledger, there = ReturnedFiles(catalog), _there(words)
    ledger.complete(words, there)
    assert not ledger.is_outdated(words.connection_id, there)
    with transaction(catalog) as session:
        session.execute(update(RemoteFileRow).values(job_id=None))
    assert ledger.is_outdated(words.connection_id, there)
    assert not ledger.is_outdated(words.connection_id, replace(there, content_hash="3" * 64))
    assert not ledger.is_outdated("another", there)


@pytest.mark.parametrize(
    ("state", "has_job", "expected"),
    [
        ("taken", True, True),
        ("taken", False, True),
        ("settling", False, True),
        ("waiting", False, True),
        ("ignored", False, False),
        ("result", False, False),
    ],
)
def test_recordings_are_known(catalog: Engine, words: Outcome, state: str, has_job: bool, expected: bool) -> None:
    with transaction(catalog) as session:
        session.execute(update(RemoteFileRow).values(state=state, job_id=words.job_id if has_job else None))
    ledger = ReturnedFiles(catalog)
    assert ledger.is_recording(words.connection_id, _there(words, TALK)) == expected
    assert not ledger.is_recording(words.connection_id, _there(words, "id:words"))
