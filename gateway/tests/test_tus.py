"""tus 1.0, request by request: https://tus.io/protocols/resumable-upload"""

import base64

import pytest
from werkzeug.test import TestResponse

from dev.waiting import eventually
from gateway.tests.conftest import ADA, LIMIT, World
from gateway.tests.exchanges import NOBODYS, TALK, assert_problem
from gateway.tests.tus import BYTES, Tus, assert_talk, checksum, metadata, nothing_is_kept
from gateway.tus import VERSION

TEXT = b"I am but text\n" * 100
BAD_UTF8 = base64.b64encode(b"\xff").decode()


@pytest.fixture
def tus(world: World) -> Tus:
    return Tus(world)


def test_everybody_is_told_what_is_spoken(world: World) -> None:
    for path in ("/v1/uploads", f"/v1/uploads/{NOBODYS}"):
        answer = world.client.options(path)
        assert (answer.status_code, answer.data) == (204, b"")
        assert answer.headers["Tus-Resumable"] == answer.headers["Tus-Version"] == "1.0.0"
        assert set(answer.headers["Tus-Extension"].split(",")) == {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        }
        assert answer.headers["Tus-Max-Size"] == str(LIMIT)
        assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"


def test_an_upload_comes_in_pieces_and_becomes_a_job(world: World, tus: Tus) -> None:
    given = metadata(filename="Gespräch.mp4", language="en", tags="a,b", filetype="video/mp4")
    path = tus.create(Upload_Metadata=given)
    head = tus.head(path)
    assert (head.status_code, head.data, head.headers["Cache-Control"]) == (204, b"", "no-store")
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("0", str(len(TALK)))
    assert head.headers["Upload-Metadata"] == given
    assert "Spool-Job" not in head.headers
    first = tus.patch(path, 0, TALK[:70_000])
    assert (first.status_code, first.headers["Upload-Offset"], first.data) == (204, "70000", b"")
    assert "Spool-Job" not in first.headers
    assert tus.offset(path) == 70_000
    assert world.job_ids() == []
    last = tus.patch(path, 70_000, TALK[70_000:])
    assert last.headers["Upload-Offset"] == str(len(TALK))
    job = world.get(f"/v1/jobs/{last.headers['Spool-Job']}").json
    assert (job["title"], job["options"]["language"], job["options"]["tags"]) == ("Gespräch.mp4", "en", ["a", "b"])
    assert job["options"]["notify"] == [ADA]
    assert_talk(world, job["id"])
    for again in (tus.head(path), tus.patch(path, len(TALK), b"")):
        assert (again.status_code, again.headers["Spool-Job"]) == (204, job["id"])
    assert len(world.job_ids()) == 1
    assert world.queue.depth("extract") == 1


def test_a_name_alone_is_the_files_name_and_none_is_needed(world: World, tus: Tus) -> None:
    for given, title in ((metadata(name="talk.mp4"), "talk.mp4"), ("", "recording"), ("filename", "recording")):
        path = tus.create(Upload_Metadata=given)
        job = tus.patch(path, 0, TALK).headers["Spool-Job"]
        assert world.get(f"/v1/jobs/{job}").json["title"] == title


def test_metadata_that_is_not_for_us_may_be_anything(world: World, tus: Tus) -> None:
    given = f"{metadata(filename='talk.mp4')},thumbnail {BAD_UTF8}"
    path = tus.create(Upload_Metadata=given)
    assert tus.head(path).headers["Upload-Metadata"] == given
    job = tus.patch(path, 0, TALK).headers["Spool-Job"]
    assert world.get(f"/v1/jobs/{job}").json["title"] == "talk.mp4"


@pytest.mark.parametrize("split", [0, 50_000, len(TALK)])
def test_a_creation_may_bring_bytes(world: World, tus: Tus, split: int) -> None:
    answer = tus.send("POST", "/v1/uploads", TALK[:split], Upload_Length=str(len(TALK)), Content_Type=BYTES)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(split))
    job = answer.headers.get("Spool-Job")
    assert (job is not None) == (split == len(TALK))
    if not job:
        job = tus.patch(answer.headers["Location"], split, TALK[split:]).headers["Spool-Job"]
    assert_talk(world, job)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (TALK[:-1] + b"x", {"Upload_Checksum": checksum(TALK)}, 460, "checksum_wrong"),
        (TALK + b"x", {}, 413, "too_large"),
        (TEXT, {"Upload_Length": str(len(TEXT))}, 422, "file_not_media"),
    ],
)
def test_of_a_creation_whose_bytes_are_refused_nothing_stays(
    world: World, tus: Tus, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    given = {"Upload_Length": str(len(TALK)), "Content_Type": BYTES, **headers}
    assert_problem(tus.send("POST", "/v1/uploads", body, **given), status, code)
    eventually(lambda: nothing_is_kept(world))


@pytest.mark.parametrize("with_bytes", [True, False])
def test_the_length_may_be_said_later(world: World, tus: Tus, with_bytes: bool) -> None:
    path = tus.create(None)
    assert tus.head(path).headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in tus.head(path).headers
    cut = 100_000 if with_bytes else len(TALK)
    assert "Spool-Job" not in tus.patch(path, 0, TALK[:cut]).headers
    last = tus.patch(path, cut, TALK[cut:], Upload_Length=str(len(TALK)))
    assert_talk(world, last.headers["Spool-Job"])
    assert tus.head(path).headers["Upload-Length"] == str(len(TALK))


def test_a_length_once_said_stays(tus: Tus) -> None:
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1000], Upload_Length="2000").status_code == 204
    assert tus.patch(path, 1000, TALK[:10], Upload_Length="2000").status_code == 204
    assert_problem(tus.patch(path, 1010, b"", Upload_Length="3000"), 400, "malformed")


@pytest.mark.parametrize(("length", "status"), [("999", 400), ("x", 400), ("0", 400), (str(LIMIT + 1), 413)])
def test_a_length_said_later_has_to_fit(tus: Tus, length: str, status: int) -> None:
    path = tus.create(None)
    tus.patch(path, 0, TALK[:1000])
    assert tus.patch(path, 1000, b"", Upload_Length=length).status_code == status
    assert tus.offset(path) == 1000


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_checksums_are_checked(world: World, tus: Tus, algorithm: str) -> None:
    path, half = tus.create(), 100_000
    good = checksum(TALK[:half], algorithm)
    wrong = tus.patch(path, 0, b"\xff" + TALK[1:half], Upload_Checksum=good)
    assert_problem(wrong, 460, "checksum_wrong")
    assert wrong.status == "460 CHECKSUM MISMATCH"
    assert tus.offset(path) == 0
    assert tus.patch(path, 0, TALK[:half], Upload_Checksum=good).status_code == 204
    assert tus.patch(path, half, TALK, Upload_Checksum=good).status_code == 413
    last = tus.patch(path, half, TALK[half:], Upload_Checksum=checksum(TALK[half:], algorithm))
    assert_talk(world, last.headers["Spool-Job"])


@pytest.mark.parametrize("given", ["crc32 AAAA", "sha1 ###", ""])
def test_checksums_that_cannot_be_understood_are_malformed(tus: Tus, given: str) -> None:
    path = tus.create()
    assert_problem(tus.patch(path, 0, TALK, Upload_Checksum=given), 400, "malformed")


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_other_versions_are_not_spoken(world: World, tus: Tus, method: str, version: str | None) -> None:
    path = "/v1/uploads" if method == "POST" else tus.create()
    answer = tus.send(method, path, Tus_Resumable=version, Upload_Length="100")
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, VERSION)
    if method != "HEAD":
        assert_problem(answer, 412, "tus_version")
    if method != "POST":
        assert tus.offset(path) == 0


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Defer_Length": "1"}, 400, "malformed"),
        ({"Upload_Defer_Length": "2"}, 400, "malformed"),
        ({"Upload_Length": "-1"}, 400, "malformed"),
        ({"Upload_Length": "1e3"}, 400, "malformed"),
        ({"Upload_Length": "9" * 40}, 400, "malformed"),
        ({"Upload_Length": "0"}, 422, "file_empty"),
        ({"Upload_Length": str(LIMIT + 1)}, 413, "too_large"),
        ({"Upload_Length": "10", "Upload_Metadata": "filename ###"}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": f"filename {BAD_UTF8}"}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": f"language {BAD_UTF8}"}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": "thumbnail ###"}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": "a YQ==,a YQ=="}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": "a YQ== YQ=="}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": metadata(language="?")}, 422, "invalid"),
        ({"Upload_Length": "10", "Upload_Metadata": metadata(notify="nobody")}, 422, "invalid"),
        ({"Upload_Length": "10", "Upload_Concat": "half"}, 400, "malformed"),
        ({"Upload_Concat": "final;"}, 400, "malformed"),
        ({"Upload_Concat": "final;/elsewhere/a"}, 404, "not_found"),
        ({"Upload_Concat": f"final;/v1/uploads/{NOBODYS}"}, 404, "not_found"),
        ({"Upload_Concat": "final;http://["}, 404, "not_found"),
        ({"Upload_Length": "10", "Upload_Checksum": "none"}, 400, "malformed"),
    ],
)
def test_what_cannot_be_begun_leaves_nothing(
    world: World, tus: Tus, headers: dict[str, str], status: int, code: str
) -> None:
    assert_problem(tus.send("POST", "/v1/uploads", None, **headers), status, code)
    assert nothing_is_kept(world)


def test_bytes_of_another_type_are_not_taken(world: World, tus: Tus) -> None:
    answer = tus.send("POST", "/v1/uploads", TALK, Upload_Length=str(len(TALK)), Content_Type="video/mp4")
    assert_problem(answer, 415, "media_type")
    assert nothing_is_kept(world)
    path = tus.create()
    assert_problem(tus.patch(path, 0, TALK, Content_Type="video/mp4"), 415, "media_type")
    assert tus.offset(path) == 0


@pytest.mark.parametrize(
    ("offset", "status", "code"),
    [("99", 409, "upload_offset"), ("101", 409, "upload_offset"), (None, 400, "malformed"), ("-1", 400, "malformed")],
)
def test_bytes_go_where_the_upload_ends_and_nowhere_else(tus: Tus, offset: str | None, status: int, code: str) -> None:
    path = tus.create()
    tus.patch(path, 0, TALK[:100])
    answer = tus.patch(path, 0, TALK[100:], Upload_Offset=offset)
    assert_problem(answer, status, code)
    if status == 409:
        assert answer.json["offset"] == 100
    assert tus.offset(path) == 100


def test_more_bytes_than_announced_are_not_taken(tus: Tus) -> None:
    path = tus.create()
    assert_problem(tus.patch(path, 0, TALK + b"x"), 413, "too_large")
    assert tus.offset(path) == 0
    assert_problem(tus.patch_chunked(path, 0, TALK + b"x"), 413, "too_large")
    assert tus.offset(path) == 0
    assert tus.patch(path, 0, TALK).status_code == 204
    assert_problem(tus.patch(path, len(TALK), b"x"), 413, "too_large")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_what_is_not_there_or_anothers_is_not_found(world: World, tus: Tus, method: str) -> None:
    path, bob = tus.create(), Tus(world, who=world.bob)
    for client, missing in ((bob, path), (tus, f"/v1/uploads/{NOBODYS}"), (tus, "/v1/uploads/x")):
        answer = client.send(method, missing, b"", Upload_Offset="0", Content_Type=BYTES)
        assert answer.status_code == 404
    assert tus.offset(path) == 0


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_nothing_is_done_without_a_token(world: World, tus: Tus, method: str) -> None:
    path = "/v1/uploads" if method == "POST" else tus.create()
    assert Tus(world, who={}).send(method, path, Upload_Length="10").status_code == 401


def test_an_upload_can_be_given_up(world: World, tus: Tus) -> None:
    path = tus.create()
    tus.patch(path, 0, TALK[:1000])
    assert tus.send("DELETE", path).status_code == 204
    eventually(lambda: nothing_is_kept(world))
    for answer in (tus.head(path), tus.patch(path, 1000, TALK[1000:]), tus.send("DELETE", path)):
        assert answer.status_code == 404


def test_giving_a_finished_upload_up_leaves_its_job(world: World, tus: Tus) -> None:
    path = tus.create()
    job = tus.patch(path, 0, TALK).headers["Spool-Job"]
    assert tus.send("DELETE", path).status_code == 204
    world.services.removals.carry_out()
    assert_talk(world, job)


def test_methods_can_be_sent_as_post(world: World, tus: Tus) -> None:
    path = tus.create()

    def post(method: str, body: bytes = b"", **headers: str) -> TestResponse:
        return tus.send("POST", path, body, X_HTTP_Method_Override=method, **headers)

    assert post("PATCH", TALK[:10], Upload_Offset="0", Content_Type=BYTES).headers["Upload-Offset"] == "10"
    assert post("HEAD").headers["Upload-Offset"] == "10"
    assert post("GET").status_code == post("").status_code == 405
    assert post("DELETE").status_code == 204
    assert tus.head(path).status_code == 404


def test_what_is_no_recording_ends_with_its_upload(world: World, tus: Tus) -> None:
    path = tus.create(len(TEXT))
    tus.patch(path, 0, TEXT[:100])
    assert_problem(tus.patch(path, 100, TEXT[100:]), 422, "file_not_media")
    assert tus.head(path).status_code == 404
    eventually(lambda: nothing_is_kept(world))


def test_the_same_bytes_again_are_stored_once(world: World, tus: Tus) -> None:
    jobs = [tus.patch(tus.create(), 0, TALK).headers["Spool-Job"] for _ in range(2)]
    eventually(lambda: len(list(world.services.blobs.list())) == 1)
    for job in jobs:
        assert_talk(world, job)


def test_pages_elsewhere_may_upload_only_if_their_origin_is_named(world: World) -> None:
    page, stranger = "https://app.example.org", "https://evil.example.org"
    app = world.changed(cors_origins=f"{page} https://other.example.org").app
    asked = {
        "Origin": page,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,tus-resumable,upload-offset,content-type",
    }
    for path in ("/v1/uploads", f"/v1/uploads/{NOBODYS}", "/upload", "/v1/jobs"):
        allowed = app.test_client().options(path, headers=asked)
        assert allowed.status_code in (200, 204)
        assert allowed.headers["Access-Control-Allow-Origin"] == page
        assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
        assert {"authorization", "tus-resumable", "upload-offset"} <= set(
            allowed.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
        )
        refused = app.test_client().options(path, headers={**asked, "Origin": stranger})
        assert "Access-Control-Allow-Origin" not in refused.headers
    answer = Tus(world, app).send("POST", "/v1/uploads", Upload_Length="10", Origin=page)
    exposed = answer.headers["Access-Control-Expose-Headers"].replace(" ", "").split(",")
    assert {"Location", "Upload-Offset", "Upload-Length", "Tus-Resumable", "Spool-Job"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    plain = world.client.options("/v1/uploads", headers=asked)
    assert "Access-Control-Allow-Origin" not in plain.headers
