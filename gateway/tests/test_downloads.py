import hashlib
import os
import re
from email.parser import BytesParser
from email.policy import HTTP

import httpx
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse

from gateway.downloads import send
from gateway.tests.conftest import LINK_KEY, World
from gateway.tests.exchanges import NOBODYS, TALK, a_file, assert_problem, upload
from gateway.tests.servers import descriptors, serve
from pipeline.database import transaction
from pipeline.links import Links
from pipeline.reuse import artifact_row
from pipeline.work import Artifact

ETAG = f'"{hashlib.sha256(TALK).hexdigest()}"'


@pytest.fixture(params=["by id", "by name", "by link"])
def path(request: pytest.FixtureRequest, world: World) -> str:
    """Each way to the uploaded file."""
    artifact = upload(world, {"file": a_file()}).json["artifacts"][0]
    links: dict[str, str] = {
        "by id": f"/download?fid={artifact['fid']}",
        "by name": artifact["href"],
        "by link": f"/v1/links/{world.services.links.sign(artifact['fid'])}",
    }
    return links[request.param]


def open_files() -> int:
    """How many blobs this process has open."""
    return sum("/blobs/" in target for target in descriptors("self"))


def test_a_file_comes_with_all_that_describes_it(world: World, path: str) -> None:
    answer = world.get(path)
    assert (answer.status_code, answer.data) == (200, TALK)
    assert answer.headers["Content-Length"] == str(len(TALK))
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private"
    assert parse_options_header(answer.headers["Content-Disposition"]) == ("attachment", {"filename": "talk.mp4"})
    assert open_files() == 0


OTHER = f'"{"0" * 64}"'
SIZE = len(TALK)


def part(start: int, stop: int) -> dict[str, str]:
    return {"Content-Range": f"bytes {start}-{stop - 1}/{SIZE}", "Content-Length": str(stop - start)}


WHOLE = (200, {"Content-Length": str(SIZE), "ETag": ETAG, "Accept-Ranges": "bytes"}, TALK)
FIRST = (206, part(0, 2) | {"ETag": ETAG, "Accept-Ranges": "bytes", "Content-Type": "video/mp4"}, TALK[:2])
KEPT = (304, {"ETag": ETAG, "Cache-Control": "private"}, b"")
CASES = {
    "nothing is asked": ({}, WHOLE),
    "the client has it": ({"If-None-Match": ETAG}, KEPT),
    "one of those the client has": ({"If-None-Match": f'{OTHER}, {ETAG}, "x,y"'}, KEPT),
    "a weak tag is enough for 304": ({"If-None-Match": f"W/{ETAG}"}, KEPT),
    "the client has any": ({"If-None-Match": "*"}, KEPT),
    "304 comes before a range": ({"If-None-Match": ETAG, "Range": "bytes=0-1"}, KEPT),
    "304 comes before 416": ({"If-None-Match": ETAG, "Range": f"bytes={SIZE}-"}, KEPT),
    "the client has another": ({"If-None-Match": OTHER}, WHOLE),
    "the client has another part": ({"If-None-Match": OTHER, "Range": "bytes=0-1"}, FIRST),
    "there is no date to compare": ({"If-Modified-Since": "Sun, 06 Nov 2050 08:49:37 GMT"}, WHOLE),
    "nor one to fail by": ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, WHOLE),
    "the expected file": ({"If-Match": ETAG}, WHOLE),
    "one of the expected": ({"If-Match": f"{OTHER}, {ETAG}"}, WHOLE),
    "any file is expected": ({"If-Match": "*"}, WHOLE),
    "the expected file's part": ({"If-Match": ETAG, "Range": "bytes=0-1"}, FIRST),
    "If-Match fits, the client has it": ({"If-Match": ETAG, "If-None-Match": ETAG}, KEPT),
    "first": ({"Range": "bytes=0-1"}, FIRST),
    "one byte": ({"Range": "bytes=0-0"}, (206, part(0, 1), TALK[:1])),
    "the middle": ({"Range": "bytes=100-199"}, (206, part(100, 200), TALK[100:200])),
    "open": ({"Range": "bytes=100-"}, (206, part(100, SIZE), TALK[100:])),
    "the last": ({"Range": "bytes=-5"}, (206, part(SIZE - 5, SIZE), TALK[-5:])),
    "more than there is": ({"Range": "bytes=5-99999999"}, (206, part(5, SIZE), TALK[5:])),
    "more at the end than there is": ({"Range": "bytes=-99999999"}, (206, part(0, SIZE), TALK)),
    "parts that join": ({"Range": "bytes=4-9,0-5"}, (206, part(0, 10), TALK[:10])),
    "only one of two is there": ({"Range": f"bytes=0-1,{SIZE}-"}, FIRST),
    "units in capitals": ({"Range": "Bytes=0-1"}, FIRST),
    "If-Range fits": ({"Range": "bytes=0-1", "If-Range": ETAG}, FIRST),
    "If-Range is of another": ({"Range": "bytes=0-1", "If-Range": OTHER}, WHOLE),
    "If-Range is weak": ({"Range": "bytes=0-1", "If-Range": f"W/{ETAG}"}, WHOLE),
    "If-Range is a date": ({"Range": "bytes=0-1", "If-Range": "Sun, 06 Nov 2050 08:49:37 GMT"}, WHOLE),
    "If-Range is without quotes": ({"Range": "bytes=0-1", "If-Range": ETAG.strip('"')}, WHOLE),
    "If-Range is empty": ({"Range": "bytes=0-1", "If-Range": ""}, WHOLE),
    "If-Range of another spares 416": ({"Range": f"bytes={SIZE}-", "If-Range": OTHER}, WHOLE),
    "If-Range alone": ({"If-Range": OTHER}, WHOLE),
    "other units": ({"Range": "items=0-1"}, WHOLE),
    "no number": ({"Range": "bytes=x"}, WHOLE),
    "no range at all": ({"Range": "nonsense"}, WHOLE),
    "backwards": ({"Range": "bytes=5-1"}, WHOLE),
    "one of two is malformed": ({"Range": "bytes=0-1,5-1"}, WHOLE),
    "an empty header": ({"Range": ""}, WHOLE),
    "many": ({"Range": "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 1000, 2))}, WHOLE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_request_is_answered_as_rfc_9110_has_it(world: World, path: str, case: str) -> None:
    asked, (status, headers, content) = CASES[case]
    answer = world.get(path, **asked)
    assert (answer.status_code, answer.data) == (status, content)
    assert headers.items() <= dict(answer.headers).items()
    assert ("Content-Range" in answer.headers) == (status == 206)
    assert "Last-Modified" not in answer.headers
    assert open_files() == 0


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", f"bytes={SIZE}-,-0"])
def test_a_part_that_is_not_there_is_refused(world: World, path: str, asked: str) -> None:
    answer = world.get(path, Range=asked)
    assert_problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("expected", [OTHER, f"W/{ETAG}", f'{OTHER}, "x"'])
@pytest.mark.parametrize("others", [{}, {"If-None-Match": ETAG}, {"Range": f"bytes={SIZE}-"}])
def test_a_file_that_is_not_the_expected_one_is_refused(
    world: World, path: str, expected: str, others: dict[str, str]
) -> None:
    answer = world.get(path, **{"If-Match": expected}, **others)
    assert_problem(answer, 412, "precondition_failed")
    assert answer.headers["ETag"] == ETAG


@pytest.mark.parametrize(
    "asked",
    [{}, {"Range": "bytes=0-1"}, {"Range": f"bytes={SIZE}-"}, {"If-None-Match": ETAG}, {"If-Match": OTHER}],
)
def test_head_says_what_get_says_of_the_whole(world: World, path: str, asked: dict[str, str]) -> None:
    """RFC 9110, 14.2: only GET has ranges."""
    answer = world.client.head(path, headers={**world.ada, **asked}, buffered=True)
    asked = {name: value for name, value in asked.items() if name != "Range"}
    get = world.get(path, **asked)
    assert (answer.status_code, answer.data) == (get.status_code, b"")
    assert described(answer) == described(get)


def described(answer: TestResponse) -> dict[str, str]:
    """The headers, but for those that name the request."""
    return {name: value for name, value in answer.headers if name not in {"traceparent", "X-Request-Id"}}


def test_what_needs_no_bytes_does_not_look_for_them(world: World, path: str) -> None:
    for blob in list(world.services.blobs.list()):
        world.services.blobs.delete(blob.id)
    assert world.client.head(path, headers=world.ada).status_code == 200
    assert world.get(path, **{"If-None-Match": ETAG}).status_code == 304
    assert world.get(path, **{"If-Match": OTHER}).status_code == 412
    assert world.get(path, Range=f"bytes={SIZE}-").status_code == 416
    assert world.get(path).status_code == world.get(path, Range="bytes=0-1").status_code == 404


def byteranges(answer: TestResponse) -> dict[str, bytes]:
    """Content-Range and bytes of each part, as Python's parser of mails reads them."""
    assert answer.headers["Content-Length"] == str(len(answer.data))
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + answer.data)
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.preamble
    assert not message.defects
    parts = list(message.iter_parts())
    assert {part.get_content_type() for part in parts} == {"video/mp4"}
    return {part["Content-Range"]: part.get_content() for part in parts}


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("bytes=0-1,4-5", [(0, 2), (4, 6)]),
        ("bytes=100-199,0-9,-1", [(100, 200), (0, 10), (SIZE - 1, SIZE)]),
        ("bytes=0-4,3-9,50-", [(0, 10), (50, SIZE)]),
        (f"bytes=0-1,{SIZE}-,4-5", [(0, 2), (4, 6)]),
    ],
)
def test_several_parts_come_as_one_message(world: World, path: str, asked: str, parts: list[tuple[int, int]]) -> None:
    answer = world.get(path, **{"Range": asked, "If-Range": ETAG})
    assert answer.status_code == 206
    assert "Content-Range" not in answer.headers
    assert (answer.headers["ETag"], answer.headers["X-Content-Type-Options"]) == (ETAG, "nosniff")
    wanted = [(f"bytes {start}-{stop - 1}/{SIZE}", TALK[start:stop]) for start, stop in parts]
    assert list(byteranges(answer).items()) == wanted
    assert open_files() == 0


spans = st.tuples(st.integers(0, SIZE + 50), st.integers(0, 3000)).map(lambda found: f"{found[0]}-{sum(found)}")
ends = st.integers(0, SIZE + 50).map("{}-".format) | st.integers(0, SIZE + 50).map("-{}".format)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(spans | spans | spans | ends, min_size=1, max_size=20))
def test_whatever_is_asked_for_each_part_holds_the_bytes_it_names(world: World, path: str, asked: list[str]) -> None:
    answer = world.get(path, Range=f"bytes={','.join(asked)}")
    match answer.status_code, answer.mimetype:
        case 206, "multipart/byteranges":
            parts = byteranges(answer)
        case 206, _:
            parts = {answer.headers["Content-Range"]: answer.data}
        case 416, _:
            parts = {}
        case _:
            parts = {f"bytes 0-{SIZE - 1}/{SIZE}": answer.data}
    for name, content in parts.items():
        named = re.fullmatch(rf"bytes (\d+)-(\d+)/{SIZE}", name)
        assert named
        first, last = map(int, named.groups())
        assert content == TALK[first : last + 1]
        assert content


@pytest.fixture
def nothing(world: World) -> str:
    """The path of an empty file."""
    job = upload(world, {"file": a_file()}).json
    with world.services.blobs.create("empty"):
        pass
    empty = Artifact("empty.txt", "transcript", "text/plain", 0, hashlib.sha256().hexdigest(), "empty")
    with transaction(world.services.jobs.engine) as session:
        session.add(artifact_row(job["id"], empty))
    return f"/v1/jobs/{job['id']}/artifacts/empty.txt"


@pytest.mark.parametrize(("asked", "status"), [("", 200), ("bytes=-1", 200), ("bytes=0-", 416), ("bytes=0-0,1-", 416)])
def test_an_empty_file_has_no_parts(world: World, nothing: str, asked: str, status: int) -> None:
    answer = world.get(nothing, Range=asked)
    assert answer.status_code == status
    if status == 200:
        assert (answer.data, answer.headers["Content-Length"]) == (b"", "0")
    else:
        assert answer.headers["Content-Range"] == "bytes */0"


def test_a_file_can_be_sent_in_one_piece_only(world: World) -> None:
    artifact_id = upload(world, {"file": a_file()}).json["artifacts"][0]["fid"]
    for asked in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=0-1,4-5"}, {"Range": f"bytes={SIZE}-"}):
        with world.app.test_request_context(headers=asked):
            answer = send(world.services.jobs.linked_artifact(artifact_id), whole=True)
            assert (answer.status_code, answer.get_data()) == (200, TALK)
            assert answer.headers["Accept-Ranges"] == "none"
            assert answer.headers["Content-Length"] == str(SIZE)
            answer.close()
    assert open_files() == 0


def test_a_file_that_ends_early_does_not_look_whole(world: World, path: str) -> None:
    (blob,) = world.services.blobs.list()
    os.truncate(world.folder / blob.id, SIZE - 1)
    with serve(world.app) as url, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url}{path}", headers=world.ada)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a b.mp4", "a b.mp4"),
        ("Gespräch.mp4", "Gesprach.mp4"),
        ("Интервью.mp4", "recording.mp4"),
        ("🎉.mp4", "recording.mp4"),
        ("50% & more; x=y.mp4", "50% & more; x=y.mp4"),
    ],
)
def test_every_client_gets_a_name_it_can_use(world: World, name: str, plain: str) -> None:
    artifact = upload(world, {"file": a_file(name)}).json["artifacts"][0]
    header = world.get(artifact["href"]).headers["Content-Disposition"]
    assert header.startswith(f'attachment; filename="{plain}"; filename*=')
    assert parse_options_header(header)[1]["filename"] == name


def test_a_file_whose_blob_is_gone_is_not_found(world: World, path: str) -> None:
    for blob in list(world.services.blobs.list()):
        world.services.blobs.delete(blob.id)
    assert_problem(world.get(path), 404, "not_found")


def test_a_file_that_cannot_be_reached_may_be_asked_for_again(world: World, path: str) -> None:
    world.folder.rename(world.folder.with_name("away"))
    answer = world.get(path)
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("query", ["", "?fid=", "?id=x"])
def test_a_download_needs_an_id(world: World, query: str) -> None:
    assert world.get(f"/download{query}").status_code in {404, 422}


@pytest.mark.parametrize("name", ["another.mp4", "TALK.MP4", "..", "x" * 5000, "%F0%9F%8E%89", "%00", "%ff"])
def test_a_name_that_the_job_does_not_have_is_not_found(world: World, name: str) -> None:
    job_id = upload(world, {"file": a_file()}).json["id"]
    assert_problem(world.get(f"/v1/jobs/{job_id}/artifacts/{name}"), 404, "not_found")


@pytest.fixture
def stranger(world: World) -> FlaskClient:
    """Somebody without a token."""
    return world.client


def test_a_link_opens_without_a_token_and_tells_nobody_where_it_was(world: World, stranger: FlaskClient) -> None:
    artifact = upload(world, {"file": a_file()}).json["artifacts"][0]
    answer = stranger.get(f"/v1/links/{world.services.links.sign(artifact['fid'])}", buffered=True)
    assert (answer.status_code, answer.data) == (200, TALK)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "private"


def test_an_old_link_has_expired(world: World, stranger: FlaskClient) -> None:
    fid = upload(world, {"file": a_file()}).json["artifacts"][0]["fid"]
    assert_problem(stranger.get(f"/v1/links/{Links([LINK_KEY], -10).sign(fid)}"), 410, "link_expired")


def test_a_link_that_was_changed_or_signed_by_others_is_not_found(world: World, stranger: FlaskClient) -> None:
    fid = upload(world, {"file": a_file()}).json["artifacts"][0]["fid"]
    good = world.services.links.sign(fid)
    for token in (good[:-2] + "xx", "x" + good, Links(["y" * 32], 60).sign(fid), "nonsense", "a.b.c", "%00", fid):
        assert_problem(stranger.get(f"/v1/links/{token}"), 404, "not_found")


def test_a_link_to_what_was_deleted_is_not_found(world: World, stranger: FlaskClient) -> None:
    job = upload(world, {"file": a_file()}).json
    token = world.services.links.sign(job["artifacts"][0]["fid"])
    world.client.delete(f"/v1/jobs/{job['id']}", headers=world.ada)
    assert_problem(stranger.get(f"/v1/links/{token}"), 404, "not_found")
    assert_problem(stranger.get(f"/v1/links/{world.services.links.sign(NOBODYS)}"), 404, "not_found")
