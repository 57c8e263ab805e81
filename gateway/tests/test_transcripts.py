import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.tests.conftest import World
from gateway.tests.exchanges import NOBODYS, a_file, assert_problem, finish, upload
from gateway.tests.spoken import SAID, SECONDS, a_talk
from pipeline import transcripts
from pipeline.correction import LONGEST_BODY, MOST_SEGMENTS
from pipeline.errors import Unavailable
from pipeline.transcript import Segment

NEW = [{"start": 0, "end": 2.5, "text": "Rabbits eat clover."}, {"start": 3, "end": 6, "text": "Hares run fast."}]


def put(
    world: World, job_id: str, segments: Sequence[Any] = NEW, match: str | None = '"1"', **body: Any
) -> TestResponse:
    headers = world.ada | ({"If-Match": match} if match is not None else {})
    return world.client.put(f"/v1/jobs/{job_id}/transcript", json={"segments": segments, **body}, headers=headers)


def again(world: World, job_id: str, **body: Any) -> TestResponse:
    return world.client.post(f"/v1/jobs/{job_id}/transcribe", json=body, headers=world.ada)


def versions(world: World, job_id: str) -> list[Any]:
    return list(world.get(f"/v1/jobs/{job_id}/transcript/versions").json["items"])


def test_a_transcript_can_be_read(world: World) -> None:
    job_id = a_talk(world)
    answer = world.get(f"/v1/jobs/{job_id}/transcript")
    assert (answer.status_code, answer.content_type, answer.headers["ETag"]) == (200, "application/json", '"1"')
    assert answer.json == {
        "version": 1,
        "author": "machine",
        "model": "tiny.en",
        "language": "en",
        "translated": False,
        "timed": True,
        "duration": SECONDS,
        "segments": [
            {
                "start": 0.0,
                "end": 2.5,
                "text": "Rabbits eat clover.",
                "words": [
                    {"start": 0.0, "end": 1.0, "text": "Rabbits", "confidence": 0.9},
                    {"start": 1.0, "end": 2.5, "text": "eat clover."},
                ],
                "confidence": 0.9,
            },
            {"start": 3.0, "end": 6.0, "text": "Hares run.", "speaker": "A", "doubtful": True},
        ],
    }


def test_a_transcript_without_a_word_can_be_read(world: World) -> None:
    assert world.get(f"/v1/jobs/{a_talk(world, ())}/transcript").json["segments"] == []


@pytest.mark.parametrize(("known", "status"), [('"1"', 304), ('W/"1"', 304), ("*", 304), ('"2"', 200)])
def test_what_a_client_has_is_not_sent_again(world: World, known: str, status: int) -> None:
    answer = world.get(f"/v1/jobs/{a_talk(world)}/transcript", If_None_Match=known)
    assert (answer.status_code, answer.headers["ETag"]) == (status, '"1"')
    assert bool(answer.data) == (status == 200)
    assert (answer.cache_control.private, bool(answer.cache_control.no_cache)) == (True, True)


def test_a_correction_is_a_new_version_and_the_machines_stays(world: World) -> None:
    job_id = a_talk(world)
    before = world.get(f"/v1/jobs/{job_id}/transcript").get_json()
    answer = put(world, job_id, language="de")
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    newest = world.get(f"/v1/jobs/{job_id}/transcript")
    assert newest.headers["ETag"] == '"2"'
    assert newest.json == before | {
        "version": 2,
        "author": "you",
        "model": None,
        "language": "de",
        "segments": [before["segments"][0], {"start": 3.0, "end": 6.0, "text": "Hares run fast."}],
    }
    old = world.get(f"/v1/jobs/{job_id}/transcript?version=1")
    assert (old.json, old.headers["ETag"]) == (before, '"1"')
    listed = versions(world, job_id)
    assert listed[0] == answer.json
    assert [(found["version"], found["author"], found["model"]) for found in listed] == [
        (2, "you", None),
        (1, "machine", "tiny.en"),
    ]
    assert all(found["at"].endswith("Z") and found["bytes"] > 100 for found in listed)


def test_a_correction_is_written_out_by_the_transcriber(world: World) -> None:
    job_id = a_talk(world)
    put(world, job_id)
    delivery = world.queue.consumer(["render"]).receive(1)
    assert delivery
    assert delivery.message.job_id == job_id
    assert world.get(f"/v1/jobs/{job_id}").json["state"] == "queued"


def test_a_transcript_can_be_sent_back_as_it_was_read(world: World) -> None:
    """And an older version so too, which makes it hold again."""
    job_id = a_talk(world)
    first = world.get(f"/v1/jobs/{job_id}/transcript").json
    put(world, job_id)
    headers = world.ada | {"If-Match": '"2"'}
    answer = world.client.put(f"/v1/jobs/{job_id}/transcript", json=first, headers=headers)
    assert answer.status_code == 200
    assert (answer.json["version"], answer.json["author"]) == (3, "you")
    read = world.get(f"/v1/jobs/{job_id}/transcript").json["segments"]
    assert [(one["start"], one["end"], one["text"]) for one in read] == [
        (0, 2.5, "Rabbits eat clover."),
        (3, 6, "Hares run."),
    ]


def test_what_is_known_of_a_segment_stays_while_times_and_text_do(world: World) -> None:
    job_id = a_talk(world)
    moved, other = {"start": 0.1, "end": 2.5, "text": SAID[0].text}, {"start": 3, "end": 6, "text": "Hares  run."}
    put(world, job_id, [moved, {**other, "speaker": " B\n"}])
    assert world.get(f"/v1/jobs/{job_id}/transcript").json["segments"] == [
        {"start": 0.1, "end": 2.5, "text": "Rabbits eat clover."},
        {"start": 3.0, "end": 6.0, "text": "Hares run.", "speaker": "B", "doubtful": True},
    ]


def test_segments_are_put_in_order_and_cleaned(world: World) -> None:
    job_id = a_talk(world)
    given = [
        {"start": 5.00049, "end": 6, "text": " two\u0000 and\nthree\u2028"},
        {"start": 1, "end": 61, "text": "one"},
        {"start": 1, "end": 2, "text": "<b>zero</b> 😀"},
    ]
    assert put(world, job_id, given).status_code == 200
    read = world.get(f"/v1/jobs/{job_id}/transcript").json["segments"]
    assert [(one["start"], one["text"]) for one in read] == [(1, "<b>zero</b> 😀"), (1, "one"), (5.0, "two and three")]


def test_nothing_said_can_be_the_right_transcript(world: World) -> None:
    job_id = a_talk(world)
    assert put(world, job_id, []).status_code == 200
    assert world.get(f"/v1/jobs/{job_id}/transcript").json["segments"] == []


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"start": -1}, "segments.1.start"),
        ({"start": None}, "segments.1.start"),
        ({"start": "soon"}, "segments.1.start"),
        ({"end": 3}, "segments.1.end"),
        ({"end": 2}, "segments.1.end"),
        ({"end": SECONDS + 1.1}, "segments.1.end"),
        ({"end": 1e300}, "segments.1.end"),
        ({"text": ""}, "segments.1.text"),
        ({"text": " \u0000\n"}, "segments.1.text"),
        ({"text": "x" * 10_001}, "segments.1.text"),
        ({"text": 7}, "segments.1.text"),
        ({"speaker": "x" * 101}, "segments.1.speaker"),
    ],
)
def test_what_is_wrong_is_refused_by_its_place(world: World, wrong: dict[str, Any], place: str) -> None:
    job_id = a_talk(world)
    answer = put(world, job_id, [NEW[0], NEW[1] | wrong])
    assert_problem(answer, 422, "invalid")
    assert answer.json["detail"].startswith(f"{place}: ")
    assert len(versions(world, job_id)) == 1


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"segments": 1}', b'{"segments": [1]}', b"{", b'{"segments": NaN}']
)
def test_what_is_no_transcript_is_refused(world: World, body: bytes) -> None:
    headers = world.ada | {"If-Match": '"1"', "Content-Type": "application/json"}
    answer = world.client.put(f"/v1/jobs/{a_talk(world)}/transcript", data=body, headers=headers)
    assert_problem(answer, 422, "invalid")


def test_a_language_has_a_code(world: World) -> None:
    assert_problem(put(world, a_talk(world), language="English"), 422, "invalid")


def test_hours_of_speech_can_be_corrected_and_no_more_than_that(world: World) -> None:
    job_id = a_talk(world)
    many = [{"start": number / 1000, "end": number / 1000 + 1, "text": f"said {number}"} for number in range(10_000)]
    assert put(world, job_id, many).status_code == 200
    assert len(world.get(f"/v1/jobs/{job_id}/transcript").json["segments"]) == 10_000
    assert_problem(put(world, job_id, [NEW[0]] * (MOST_SEGMENTS + 1), '"2"'), 422, "invalid")
    assert_problem(put(world, job_id, [NEW[0] | {"text": "x" * LONGEST_BODY}], '"2"'), 413, "too_large")


@pytest.mark.parametrize("match", [None, ""])
def test_a_correction_says_what_it_corrects(world: World, match: str | None) -> None:
    job_id = a_talk(world)
    assert_problem(put(world, job_id, match=match), 428, "precondition_required")
    assert len(versions(world, job_id)) == 1


@pytest.mark.parametrize("match", ['"2"', 'W/"1"', '"01"', '"x", "y"'])
def test_what_corrects_another_version_is_refused(world: World, match: str) -> None:
    job_id = a_talk(world)
    answer = put(world, job_id, match=match)
    assert_problem(answer, 412, "precondition_failed")
    assert (answer.json["version"], answer.headers["ETag"]) == (1, '"1"')
    assert len(versions(world, job_id)) == 1


@pytest.mark.parametrize("match", ["*", '"7", "1"'])
def test_a_correction_may_be_of_any_version_or_one_of_several(world: World, match: str) -> None:
    assert put(world, a_talk(world), match=match).status_code == 200


def test_of_two_at_once_one_wins_and_nothing_of_the_other_stays(world: World) -> None:
    job_id = a_talk(world)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: put(world, job_id), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert len(versions(world, job_id)) == 2
    world.services.removals.carry_out()
    assert len([blob for blob in world.services.blobs.list() if "layer" in blob.id]) == 2


def test_a_correction_whose_row_cannot_be_written_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = a_talk(world)

    def away(*_: object) -> None:
        raise Unavailable("the catalog is away")

    monkeypatch.setattr(transcripts.Transcripts, "correct", away)
    assert_problem(put(world, job_id), 503, "unavailable")
    monkeypatch.undo()
    world.services.removals.carry_out()
    assert len([blob for blob in world.services.blobs.list() if "layer" in blob.id]) == 1


def test_a_correction_is_kept_only_where_there_is_room(world: World) -> None:
    job_id = a_talk(world)
    used = world.get("/v1/account").json["use"]["stored_bytes"]
    assert_problem(put(world.changed(quota_stored_bytes=used + 10), job_id), 413, "quota_stored")
    assert_problem(put(world.changed(free_bytes=2**62), job_id), 507, "store_full")
    assert len(versions(world, job_id)) == 1


def test_versions_are_no_files(world: World) -> None:
    job_id = a_talk(world)
    put(world, job_id)
    assert [made["name"] for made in world.get(f"/v1/jobs/{job_id}").json["artifacts"]] == ["talk.mp4"]
    assert_problem(world.get(f"/v1/jobs/{job_id}/artifacts/layer-2.jsonl"), 404, "not_found")


def test_the_transcripts_of_others_are_not_there(world: World) -> None:
    job_id = a_talk(world, user=world.bob)
    for path in ("transcript", "transcript?version=1", "transcript/versions"):
        assert_problem(world.get(f"/v1/jobs/{job_id}/{path}"), 404, "not_found")
    assert_problem(put(world, job_id), 404, "not_found")
    assert_problem(again(world, job_id), 404, "not_found")


@pytest.mark.parametrize("path", [f"{NOBODYS}/transcript", "x/transcript", f"{NOBODYS}/transcript/versions"])
def test_without_a_transcript_there_is_nothing(world: World, path: str) -> None:
    assert_problem(world.get(f"/v1/jobs/{path}"), 404, "not_found")


def test_a_job_without_a_transcript_has_none(world: World) -> None:
    job_id = upload(world, {"file": a_file()}).json["id"]
    assert_problem(world.get(f"/v1/jobs/{job_id}/transcript"), 404, "not_found")
    assert_problem(put(world, job_id), 404, "not_found")
    finish(world, job_id)
    assert_problem(world.get(f"/v1/jobs/{job_id}/transcript/versions"), 404, "not_found")


def test_a_version_that_is_not_there_is_not_found(world: World) -> None:
    job_id = a_talk(world)
    assert_problem(world.get(f"/v1/jobs/{job_id}/transcript?version=2"), 404, "not_found")
    assert_problem(world.get(f"/v1/jobs/{job_id}/transcript?version=0"), 422, "invalid")


def test_a_recording_is_transcribed_again_from_its_track(world: World) -> None:
    job_id = a_talk(world, language="en", speakers="yes", tags="rabbits")
    there = world.changed(speech_models="base")
    answer = again(there, job_id, model="base", language="de", formats=["txt", "docx"], speakers=None)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{job_id}")
    options = answer.json["options"]
    assert (options["language"], options["formats"], options["speakers"]) == ("de", ["txt", "docx"], False)
    assert options["tags"] == ["rabbits"]
    assert answer.json["state"] == "queued"
    delivery = world.queue.consumer(["cut"]).receive(1)
    assert delivery
    assert delivery.message.job_id == job_id
    assert world.get(f"/v1/jobs/{job_id}/transcript").json["version"] == 1
    assert_problem(again(there, job_id), 409, "conflict")
    assert_problem(put(world, job_id), 409, "conflict")


@pytest.mark.parametrize("reset", [None, "", []])
def test_what_is_not_given_stays_and_nothing_gives_the_default_back(world: World, reset: Any) -> None:
    job_id = a_talk(world, language="en", glossary="Flopsy,Mopsy", formats="txt", txt_times="yes")
    options = again(world, job_id, glossary=reset, formats=reset).json["options"]
    assert (options["language"], options["txt_times"]) == ("en", True)
    assert (options["glossary"], options["formats"]) == ([], ["txt", "srt", "vtt", "json"])


def test_without_a_body_it_is_transcribed_as_before(world: World) -> None:
    job_id = a_talk(world, language="en")
    answer = world.client.post(f"/v1/jobs/{job_id}/transcribe", headers=world.ada)
    assert (answer.status_code, answer.json["options"]["language"]) == (202, "en")


def test_what_was_uploaded_without_can_be_transcribed_later(world: World) -> None:
    job_id = a_talk(world, transcribe="no")
    assert again(world, job_id).json["options"]["transcribe"] is True


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"language": "English"}, "language"),
        ({"formats": ["pdf"]}, "formats"),
        ({"bitrate": 128}, "bitrate"),
        ({"speakers": "perhaps"}, "speakers"),
        ({"glossary": ["x" * 101]}, "glossary"),
        ({"model": "whisper-9"}, "model"),
        ({"language": "de"}, "language"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(world: World, body: dict[str, Any], place: str) -> None:
    job_id = a_talk(world)
    answer = again(world, job_id, **body)
    assert_problem(answer, 422, "invalid")
    assert answer.json["detail"].startswith(place)
    assert world.get(f"/v1/jobs/{job_id}").json["state"] == "done"


def test_a_model_that_is_not_there_is_refused_with_those_that_are(world: World) -> None:
    """Of a folder its name is told, and no path."""
    job_id = a_talk(world)
    there = world.changed(speech_model="/srv/models/tiny.en", speech_models="base")
    answer = again(there, job_id, model="whisper-9")
    assert answer.json["models"] == ["tiny.en", "base"]
    assert answer.json["detail"].endswith("It has: tiny.en, base.")
    assert again(there, job_id, model="tiny.en").status_code == 202


def test_what_the_model_cannot_do_is_refused_and_the_transcript_holds(world: World) -> None:
    job_id = a_talk(world)
    there = world.changed(speech_model="gpt-transcribe", speech_models="base")
    answer = again(there, job_id, translate=True)
    assert_problem(answer, 422, "invalid")
    assert answer.json["detail"] == "translate: The speech model gpt-transcribe cannot translate."
    assert world.get(f"/v1/jobs/{job_id}").json["state"] == "done"
    assert again(there, job_id, translate=True, model="base").status_code == 202


def test_what_is_not_transcribed_may_be_in_any_language(world: World) -> None:
    """Of what its uploader asks for, the model matters once it is asked."""
    job_id = a_talk(world, transcribe="no", language="de")
    assert_problem(again(world, job_id), 422, "invalid")
    assert again(world, job_id, language=None).status_code == 202


def test_who_hears_of_another_transcription_counts_as_of_an_upload(world: World) -> None:
    job_id = a_talk(world, notify="ada@example.org,bob@example.org,carl@example.org")
    narrow = world.changed(quota_day_mails=3)
    answer = again(narrow, job_id)
    assert_problem(answer, 429, "quota_mails")
    assert (answer.json["limit"], answer.json["used"], answer.json["asked"]) == (3, 2, 2)
    assert world.get(f"/v1/jobs/{job_id}").json["state"] == "done"
    assert again(world, job_id).status_code == 202
    assert again(world, job_id).status_code == 409
    assert world.get("/v1/account").json["use"]["day_mails"] == 4


def test_one_that_works_on_as_much_as_its_owner_may_have_is_not_transcribed_again(world: World) -> None:
    first, second = a_talk(world), a_talk(world, language="en")
    narrow = world.changed(quota_jobs=1)
    assert again(narrow, first).status_code == 202
    answer = again(narrow, second)
    assert_problem(answer, 429, "quota_jobs")
    assert (answer.json["limit"], answer.json["used"]) == (1, 1)
    assert world.get(f"/v1/jobs/{second}").json["state"] == "done"


def test_a_recording_that_is_gone_is_not_transcribed_again(world: World) -> None:
    job_id = upload(world, {"file": a_file()}).json["id"]
    finish(world, job_id)
    answer = again(world, job_id)
    assert_problem(answer, 409, "conflict")
    assert answer.json["detail"].startswith("The recording has been removed meanwhile")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_transcripts_are_for_who_has_signed_in(world: World, method: str) -> None:
    answer = world.client.open(f"/v1/jobs/{NOBODYS}/transcript", method=method, json={})
    assert_problem(answer, 401, "unauthorized")


def test_a_line_of_any_text_is_answered_as_json(world: World) -> None:
    text = 'quotes " and \\ and \u2028 and </script>'
    job_id = a_talk(world, [Segment(0, 1, text)])
    answer = world.get(f"/v1/jobs/{job_id}/transcript")
    assert json.loads(answer.data)["segments"][0]["text"] == text
