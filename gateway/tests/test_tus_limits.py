"""How long uploads are kept, and how much a user may begin."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from werkzeug.http import parse_date

from gateway.tests.conftest import LIMIT, World
from gateway.tests.exchanges import TALK, assert_problem
from gateway.tests.tus import Tus, assert_talk, final, id_of, metadata, nothing_is_kept, set_row, upload_ids
from pipeline import uploads
from pipeline.catalog import JobRow
from pipeline.database import now, transaction
from pipeline.uploads import expire


@pytest.fixture
def tus(world: World) -> Tus:
    return Tus(world)


def test_an_upload_expires_a_time_after_its_last_byte(world: World, tus: Tus) -> None:
    path = tus.create()
    set_row(world, path, expires_at=now() + timedelta(minutes=5))
    soon = parse_date(tus.head(path).headers["Upload-Expires"])
    later = parse_date(tus.patch(path, 0, TALK[:10]).headers["Upload-Expires"])
    assert soon
    assert later
    assert later - soon > timedelta(hours=23)
    set_row(world, path, expires_at=now() - timedelta(seconds=1))
    for answer in (tus.patch(path, 10, TALK[10:]), tus.send("DELETE", path)):
        assert_problem(answer, 410, "upload_expired")
    assert tus.head(path).status_code == 410
    assert expire(world.services.jobs.engine, 100) == 1
    world.services.removals.carry_out()
    assert nothing_is_kept(world)
    assert tus.head(path).status_code == 404


def test_expiry_takes_small_steps_and_neither_jobs_nor_what_is_being_written(world: World, tus: Tus) -> None:
    paths = [tus.create() for _ in range(5)]
    job = tus.patch(paths[0], 0, TALK).headers["Spool-Job"]
    for path in paths[:4]:
        set_row(world, path, expires_at=now() - timedelta(seconds=1))
    set_row(world, paths[3], lock="another's", locked_until=now() + timedelta(seconds=60))
    engine = world.services.jobs.engine
    assert [expire(engine, 1), expire(engine, 9), expire(engine, 9)] == [1, 1, 0]
    world.services.removals.carry_out()
    assert_talk(world, job)
    assert tus.head(paths[0]).headers["Spool-Job"] == job
    assert tus.head(paths[4]).status_code == 204


def test_unfinished_uploads_count_as_stored(world: World) -> None:
    narrow = world.changed(quota_stored_bytes=len(TALK), quota_day_bytes=2 * len(TALK))
    tus = Tus(world, narrow.app)
    parts = [tus.create(len(TALK) // 2, Upload_Concat="partial") for _ in range(2)]
    refused = tus.send("POST", "/v1/uploads", Upload_Length="1")
    assert_problem(refused, 413, "quota_stored")
    assert (refused.json["limit"], refused.json["used"], refused.json["asked"]) == (len(TALK), len(TALK), 1)
    for part, start in zip(parts, (0, len(TALK) // 2), strict=True):
        assert tus.patch(part, 0, TALK[start : start + len(TALK) // 2]).status_code == 204
    assert tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)).headers["Spool-Job"]
    assert narrow.services.accounts.use(_owner_of_jobs(world)).day_bytes == len(TALK)


def _owner_of_jobs(world: World) -> str:
    with transaction(world.services.jobs.engine) as session:
        return str(session.scalar(select(JobRow.owner)))


def test_an_upload_of_unknown_length_keeps_to_the_quota(world: World) -> None:
    tus = Tus(world, world.changed(quota_stored_bytes=1500).app)
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1000]).status_code == 204
    assert_problem(tus.patch(path, 1000, TALK[:501]), 413, "quota_stored")
    assert_problem(tus.patch(path, 1000, b"", Upload_Length="1501"), 413, "quota_stored")
    assert tus.patch(path, 1000, TALK[1000:1500], Upload_Length="1500").headers["Spool-Job"]


def test_a_chunk_of_unknown_length_ends_with_the_quota(world: World) -> None:
    tus = Tus(world, world.changed(quota_stored_bytes=150_000).app)
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1000]).status_code == 204
    answer = tus.patch_chunked(path, 1000, TALK)
    assert_problem(answer, 413, "too_large")
    assert answer.json["limit"] == 150_000
    assert tus.patch_chunked(path, tus.offset(path), TALK[:1000]).status_code == 204


def test_who_has_sent_all_that_the_quota_allows_may_say_so(world: World) -> None:
    tus = Tus(world, world.changed(quota_stored_bytes=1500).app)
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1500]).status_code == 204
    assert tus.patch(path, 1500, b"", Upload_Length="1500").headers["Spool-Job"]


def test_who_would_send_too_many_mails_is_told_before_the_bytes_come(world: World, tus: Tus) -> None:
    part = tus.part(TALK)
    quiet, others = Tus(world, world.changed(quota_day_mails=1).app), metadata(notify="eve@example.org,joe@example.org")
    for headers in ({"Upload_Length": "10"}, {"Upload_Concat": final([part])}):
        assert_problem(quiet.send("POST", "/v1/uploads", None, Upload_Metadata=others, **headers), 429, "quota_mails")
    assert upload_ids(world) == {id_of(part)}


def test_a_user_may_begin_only_so_many(world: World, tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_OPEN", 2)
    first = tus.create()
    tus.create()
    assert_problem(tus.send("POST", "/v1/uploads", Upload_Length="10"), 429, "too_many_uploads")
    assert Tus(world, who=world.bob).create()
    tus.patch(first, 0, TALK)
    assert tus.create()


def test_an_upload_of_unknown_length_is_bounded(tus: Tus) -> None:
    path = tus.create(None)
    assert_problem(tus.patch(path, 0, bytes(LIMIT + 1)), 413, "too_large")
    assert tus.offset(path) == 0


def test_the_last_job_that_may_be_open_can_be_of_unknown_length(world: World) -> None:
    tus = Tus(world, world.changed(quota_jobs=1).app)
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1000]).status_code == 204
    assert_problem(tus.send("POST", "/v1/uploads", Upload_Length="1"), 429, "quota_jobs")
    assert tus.patch(path, 1000, TALK[1000:1500], Upload_Length="1500").headers["Spool-Job"]
