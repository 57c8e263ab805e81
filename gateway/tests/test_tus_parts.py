"""Parts of a file, uploaded side by side and joined (tus: concatenation)."""

from itertools import pairwise

import pytest

from dev.waiting import eventually
from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, assert_problem
from gateway.tests.tus import Tus, assert_talk, blob_of, final, id_of, metadata, nothing_is_kept, owner, upload_ids

TEXT = b"I am but text\n" * 100


@pytest.fixture
def tus(world: World) -> Tus:
    return Tus(world)


@pytest.mark.parametrize("url", ["", "http://localhost"])
def test_parts_are_joined_in_their_order(world: World, tus: Tus, url: str) -> None:
    cuts = [0, 90_000, 100_000, len(TALK)]
    parts = [tus.part(TALK[start:end]) for start, end in pairwise(cuts)]
    assert world.job_ids() == []
    assert tus.head(parts[0]).headers["Upload-Concat"] == "partial"
    listed, given = final(parts, url), metadata(filename="whole.mp4")
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=listed, Upload_Metadata=given)
    assert answer.status_code == 201
    path, job = answer.headers["Location"], answer.headers["Spool-Job"]
    assert_talk(world, job)
    assert world.get(f"/v1/jobs/{job}").json["title"] == "whole.mp4"
    head = tus.head(path)
    assert (head.headers["Upload-Concat"], head.headers["Spool-Job"]) == (final(parts), job)
    assert head.headers["Upload-Length"] == head.headers["Upload-Offset"] == str(len(TALK))
    assert_problem(tus.patch(path, len(TALK), b""), 403, "forbidden")
    eventually(lambda: len(list(world.services.blobs.list())) == 1)
    assert {tus.head(part).status_code for part in parts} == {404}
    again = tus.send("POST", "/v1/uploads", Upload_Concat=listed, Upload_Metadata=given)
    assert (again.status_code, again.headers["Location"], again.headers["Spool-Job"]) == (201, path, job)
    assert len(world.job_ids()) == 1


def test_only_own_whole_parts_are_joined(world: World, tus: Tus) -> None:
    whole, half, alone = tus.part(TALK[:1000]), tus.create(1000, Upload_Concat="partial"), tus.create()
    tus.patch(half, 0, TALK[:10])
    bobs = Tus(world, who=world.bob).part(TALK[:1000])
    for parts, status in (([whole, half], 409), ([whole, alone], 409), ([whole, bobs], 404)):
        assert tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)).status_code == status
    assert tus.offset(whole) == 1000
    assert world.job_ids() == []


def test_parts_that_are_too_much_together_are_not_joined(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK), tus.part(TALK)]
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_problem(answer, 413, "too_large")
    assert [tus.offset(part) for part in parts] == [len(TALK)] * 2


def test_a_part_is_joined_only_once(world: World, tus: Tus) -> None:
    part, other = tus.part(TALK[:1000]), tus.part(TALK[1000:])
    for parts in ([part, part], [part, other, part], [part, f"http://localhost{part}"]):
        assert_problem(tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)), 400, "malformed")
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final([part, other]))
    assert_talk(world, answer.headers["Spool-Job"])


def test_parts_are_joined_only_where_there_is_room_for_the_whole(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK[:1000]), tus.part(TALK[1000:])]
    full = Tus(world, world.changed(free_bytes=2**62).app)
    assert_problem(full.send("POST", "/v1/uploads", Upload_Concat=final(parts)), 507, "store_full")
    assert upload_ids(world) == {id_of(part) for part in parts}
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_talk(world, answer.headers["Spool-Job"])


def test_parts_are_hashed_when_they_are_joined_and_not_before(world: World, tus: Tus) -> None:
    part = tus.part(TALK)
    assert world.services.hashes.get(id_of(part)).bytes == 0
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final([part]))
    assert_talk(world, answer.headers["Spool-Job"])


def test_parts_that_are_no_recording_end_with_their_upload(world: World, tus: Tus) -> None:
    parts = [tus.part(TEXT[:700]), tus.part(TEXT[700:])]
    assert_problem(tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)), 422, "file_not_media")
    eventually(lambda: nothing_is_kept(world))


def test_while_one_request_joins_another_is_told_at_once(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK[:1000]), tus.part(TALK[1000:])]
    joined = world.services.uploads.join(owner(world, parts[0]), [id_of(part) for part in parts], "")
    with world.services.uploads.locked(joined.owner, joined.id):
        assert_problem(tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)), 423, "locked")
        head = tus.head(f"/v1/uploads/{joined.id}")
        assert (head.status_code, "Upload-Offset" in head.headers) == (204, False)
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_talk(world, answer.headers["Spool-Job"])


def test_a_gateway_that_died_while_joining_is_made_up_for(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK[:1000]), tus.part(TALK[1000:])]
    joined = world.services.uploads.join(owner(world, parts[0]), [id_of(part) for part in parts], "")
    world.services.blobs.seal(blob_of(world, parts[0]), 1000)
    with world.services.blobs.extend(joined.blob, 0) as target:
        target.write(TALK[:50])
        target.sync()
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_talk(world, answer.headers["Spool-Job"])
