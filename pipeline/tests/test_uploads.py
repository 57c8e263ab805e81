"""Rows and locks of resumable uploads, on every database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from pipeline.accounts import Accounts
from pipeline.catalog import RemovalRow, UploadRow
from pipeline.database import now, transaction
from pipeline.errors import Busy
from pipeline.uploads import PARTIAL, Missing, Unfinished, Upload, Uploads, expire

ADA = "ada"
Part = Callable[[int], Upload]


@pytest.fixture
def uploads(catalog: Engine) -> Uploads:
    return Uploads(catalog, 24)


@pytest.fixture
def part(uploads: Uploads) -> Part:
    def make(length: int) -> Upload:
        made = uploads.create(ADA, length, "", PARTIAL)
        with uploads.locked(ADA, made.id) as held:
            held.advance(length)
        return made

    return make


def change(catalog: Engine, upload_id: str, **values: Any) -> None:
    with transaction(catalog) as session:
        session.execute(update(UploadRow).where(UploadRow.id == upload_id).values(**values))


def doomed(catalog: Engine) -> set[str]:
    with transaction(catalog) as session:
        return set(session.scalars(select(RemovalRow.blob)))


def test_of_many_who_want_to_write_one_may(uploads: Uploads) -> None:
    upload = uploads.create(ADA, 10, "")

    def attempt(_: int) -> bool:
        try:
            with uploads.locked(ADA, upload.id) as held:
                everybody.wait()
                held.advance(held.upload.offset + 1)
        except Busy:
            everybody.wait()
            return False
        return True

    everybody = Barrier(5, timeout=30)
    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(attempt, range(5))) == 1
    assert uploads.get(ADA, upload.id).offset == 1


def test_a_lapsed_lock_that_was_of_no_use_goes_back_to_its_holder(catalog: Engine, uploads: Uploads) -> None:
    upload = uploads.create(ADA, 10, "")
    assert not uploads.lapsed(ADA, upload.id)
    with uploads.locked(ADA, upload.id) as held:
        assert not uploads.lapsed(ADA, upload.id)
        change(catalog, upload.id, locked_until=now() - timedelta(seconds=1))
        assert uploads.lapsed(ADA, upload.id)
        assert not uploads.lapsed("bob", upload.id)
        with pytest.raises(Busy), uploads.locked(ADA, upload.id):
            raise Busy("the bytes are in its hands")
        assert uploads.lapsed(ADA, upload.id)
        held.advance(5)
        assert not uploads.lapsed(ADA, upload.id)
    with pytest.raises(Busy), uploads.locked(ADA, upload.id):
        raise Busy("nobody had the lock")
    with uploads.locked(ADA, upload.id) as held:
        assert held.upload.offset == 5


def test_what_came_is_known_to_whoever_asks_and_its_time_moves_on(catalog: Engine, uploads: Uploads) -> None:
    upload = uploads.create(ADA, None, "filename YQ==")
    change(catalog, upload.id, expires_at=now() + timedelta(hours=1))
    with uploads.locked(ADA, upload.id) as held:
        held.advance(5, 20)
        assert held.upload == uploads.get(ADA, upload.id)
    kept = uploads.get(ADA, upload.id)
    assert (kept.offset, kept.length, kept.meta, kept.whole) == (5, 20, "filename YQ==", False)
    assert kept.expires_at > now() + timedelta(hours=23)
    with pytest.raises(Missing):
        uploads.get("bob", upload.id)


def test_parts_are_joined_once_by_whoever_asks_at_the_same_time(uploads: Uploads, part: Part) -> None:
    parts = [part(3).id, part(4).id]
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda _: uploads.join(ADA, parts, ""), range(5)))
    assert {final.id for final in found} == {found[0].id}
    assert {final.blob for final in found} == {found[0].blob}
    assert (found[0].length, found[0].offset, list(found[0].parts)) == (7, 0, parts)
    assert uploads.join(ADA, parts[::-1], "").id != found[0].id


def test_only_what_is_whole_and_a_part_is_joined(uploads: Uploads, part: Part) -> None:
    whole, half, alone = part(3), uploads.create(ADA, 3, "", PARTIAL), uploads.create(ADA, 3, "")
    for other in (half, alone):
        with pytest.raises(Unfinished):
            uploads.join(ADA, [whole.id, other.id], "")
    for owner in (ADA, "bob"):
        with pytest.raises(Missing):
            uploads.join(owner, [whole.id, "0" * 32], "")


def test_parts_outlive_their_joining(catalog: Engine, uploads: Uploads, part: Part) -> None:
    one = part(3)
    change(catalog, one.id, expires_at=now() + timedelta(minutes=1))
    uploads.join(ADA, [one.id], "")
    assert uploads.get(ADA, one.id).expires_at > now() + timedelta(hours=23)


def test_what_is_joined_counts_once(catalog: Engine, uploads: Uploads, part: Part) -> None:
    parts = [part(30).id, part(40).id]
    uploads.create(ADA, 5, "")
    uploads.join(ADA, parts, "")
    deferred = uploads.create(ADA, None, "")
    with uploads.locked(ADA, deferred.id) as held:
        held.advance(2)
    use = Accounts(catalog).use(ADA)
    assert (use.stored_bytes, use.day_bytes) == (77, 77)


def test_giving_a_final_upload_up_takes_its_parts_along(catalog: Engine, uploads: Uploads, part: Part) -> None:
    parts = [part(3), part(4)]
    final = uploads.join(ADA, [one.id for one in parts], "")
    with uploads.locked(ADA, final.id) as held:
        held.delete()
    assert doomed(catalog) == {final.blob, *(one.blob for one in parts)}
    for gone in (final, *parts):
        with pytest.raises(Missing):
            uploads.get(ADA, gone.id)


def test_what_expires_goes_unless_it_is_being_written(catalog: Engine, uploads: Uploads) -> None:
    past, made = now() - timedelta(seconds=1), [uploads.create(ADA, 5, "") for _ in range(4)]
    for upload in made[:3]:
        change(catalog, upload.id, expires_at=past)
    with uploads.locked(ADA, made[0].id):
        assert [expire(catalog, 1), expire(catalog, 9), expire(catalog, 9)] == [1, 1, 0]
    assert doomed(catalog) == {made[1].blob, made[2].blob}
    assert expire(catalog, 9) == 1
    assert uploads.get(ADA, made[3].id)


def test_what_became_a_job_does_not_expire(catalog: Engine, uploads: Uploads) -> None:
    upload = uploads.create(ADA, 5, "")
    change(catalog, upload.id, job_id="a job", expires_at=now() - timedelta(days=30))
    assert expire(catalog, 9) == 0
    assert not uploads.get(ADA, upload.id).expired
