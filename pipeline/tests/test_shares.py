from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, func, select

from pipeline import shares as module
from pipeline.catalog import ArtifactRow, LinkRow
from pipeline.database import now, transaction
from pipeline.jobs import Jobs
from pipeline.reuse import artifact_row
from pipeline.shares import Share, Shares, TooMany, expire_links
from pipeline.tests.makers import OWNER, a_job, an_artifact
from pipeline.work import HIDDEN, ArtifactKind

STRANGER = "b" * 32
HOUR = timedelta(hours=1)


def a_share(
    catalog: Engine, job_id: str, artifact: str | None = None, downloads: int | None = None, good_for: timedelta = HOUR
) -> Share:
    share = Shares(catalog).make(OWNER, job_id, artifact, now() + good_for, downloads)
    assert share
    return share


def rows(catalog: Engine) -> int:
    with transaction(catalog) as session:
        return session.scalar(select(func.count()).select_from(LinkRow)) or 0


def test_a_link_is_found_as_it_was_made(catalog: Engine) -> None:
    job, _ = a_job(catalog)
    to_file, to_job = a_share(catalog, job.id, "talk.mp4", 3), a_share(catalog, job.id)
    assert (to_file.artifact_id, to_file.artifact) == (job.artifacts[0].id, "talk.mp4")
    assert (to_job.artifact_id, to_job.artifact, to_job.downloads) == (None, None, None)
    for share in (to_file, to_job):
        assert (share.owner, share.job_id, share.used) == (OWNER, job.id, 0)
        assert Shares(catalog).find(share.id) == share
    assert Shares(catalog).list(OWNER, job.id) == [to_file, to_job]


def test_only_the_owner_makes_lists_and_revokes(catalog: Engine) -> None:
    shares, job = Shares(catalog), a_job(catalog)[0]
    share = a_share(catalog, job.id)
    assert shares.make(STRANGER, job.id, None, now() + HOUR, None) is None
    assert shares.list(STRANGER, job.id) is None
    assert not shares.revoke(STRANGER, job.id, share.id)
    assert shares.list(OWNER, job.id) == [share]


def test_a_link_is_revoked_by_its_own_job_only(catalog: Engine) -> None:
    shares, job, other = Shares(catalog), a_job(catalog)[0], a_job(catalog)[0]
    share = a_share(catalog, job.id)
    assert not shares.revoke(OWNER, other.id, share.id)
    assert shares.revoke(OWNER, job.id, share.id)
    assert not shares.revoke(OWNER, job.id, share.id)
    assert shares.find(share.id) is None
    assert not shares.use(share.id)


@pytest.mark.parametrize("kind", HIDDEN)
def test_there_is_no_link_to_what_users_never_see(catalog: Engine, kind: ArtifactKind) -> None:
    job, _ = a_job(catalog)
    with transaction(catalog) as session:
        session.add(artifact_row(job.id, an_artifact("talk.flac", kind)))
    for name in ("talk.flac", "another", ""):
        assert Shares(catalog).make(OWNER, job.id, name, now() + HOUR, None) is None


def test_what_is_deleted_takes_its_links_along(catalog: Engine) -> None:
    shares, job, other = Shares(catalog), a_job(catalog)[0], a_job(catalog)[0]
    to_file, to_job, to_other = (
        a_share(catalog, job.id, "talk.mp4"),
        a_share(catalog, job.id),
        a_share(catalog, other.id),
    )
    with transaction(catalog) as session:
        session.delete(session.get_one(ArtifactRow, to_file.artifact_id))
    assert shares.list(OWNER, job.id) == [to_job]
    Jobs(catalog).delete(OWNER, job.id)
    assert shares.find(to_job.id) is None
    assert shares.find(to_other.id) == to_other


def test_a_link_is_good_for_so_many_downloads(catalog: Engine) -> None:
    shares, job = Shares(catalog), a_job(catalog)[0]
    counted, free = a_share(catalog, job.id, downloads=2), a_share(catalog, job.id)
    assert [shares.use(counted.id) for _ in range(4)] == [True, True, False, False]
    assert [shares.use(free.id) for _ in range(4)] == [True] * 4
    found = shares.list(OWNER, job.id)
    assert found
    assert [(share.used, share.is_used_up) for share in found] == [(2, True), (4, False)]


def test_of_many_at_once_one_gets_the_last_download(catalog: Engine) -> None:
    share, start = a_share(catalog, a_job(catalog)[0].id, downloads=1), Barrier(8)

    def use(_: int) -> bool:
        start.wait(10)
        return Shares(catalog).use(share.id)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(use, range(8))) == [False] * 7 + [True]


def test_a_job_has_so_many_links_at_a_time(catalog: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    job, other = a_job(catalog)[0], a_job(catalog)[0]
    a_share(catalog, job.id, good_for=-HOUR)
    for _ in range(2):
        last = a_share(catalog, job.id)
    with pytest.raises(TooMany):
        a_share(catalog, job.id)
    a_share(catalog, other.id)
    Shares(catalog).revoke(OWNER, job.id, last.id)
    a_share(catalog, job.id)


def test_all_links_of_a_job_are_revoked_at_once_and_those_in_mails_too(catalog: Engine) -> None:
    shares, (job, _), (other, _) = Shares(catalog), a_job(catalog), a_job(catalog)
    (mailed,), (kept,) = job.artifacts, other.artifacts
    first, stays = a_share(catalog, job.id), a_share(catalog, other.id)
    before = now()
    assert shares.mailed(mailed.id, before) == mailed
    assert shares.revoke_all(OWNER, job.id)
    assert shares.find(first.id) is None
    assert shares.mailed(mailed.id, before) is None
    assert shares.mailed(mailed.id, now()) == mailed
    assert (shares.find(stays.id), shares.mailed(kept.id, before)) == (stays, kept)
    again = a_share(catalog, job.id)
    assert shares.revoke_all(STRANGER, job.id) is False
    assert shares.find(again.id) == again


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_only_workers_see_is_not_mailed(catalog: Engine, kind: ArtifactKind) -> None:
    job, _ = a_job(catalog)
    row = artifact_row(job.id, an_artifact("track.mka", kind))
    with transaction(catalog) as session:
        session.add(row)
    assert Shares(catalog).mailed(row.id, now()) is None


def test_expired_links_are_not_listed_and_go_in_small_steps(catalog: Engine) -> None:
    job, _ = a_job(catalog)
    kept = a_share(catalog, job.id)
    for _ in range(3):
        a_share(catalog, job.id, good_for=-HOUR)
    assert Shares(catalog).list(OWNER, job.id) == [kept]
    assert [expire_links(catalog, 2) for _ in range(3)] == [2, 1, 0]
    assert rows(catalog) == 1
    assert Shares(catalog).find(kept.id) == kept
