"""What may be asked for of the sound is the same on every way in: form, query, JSON and the metadata of tus."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from gateway.multipart import LONGEST_FIELD
from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, a_file, assert_problem, upload
from gateway.tests.tus import BYTES, Tus, metadata

Way = Callable[[World, Mapping[str, str]], TestResponse]

ASKED: dict[str, Any] = {
    "preset": "podcast",
    "audio": "mp3,opus",
    "bitrate": "128",
    "channels": "1",
    "start": "0:10",
    "end": "1:02:03.5",
    "fade_out": "2.5",
    "loudness": "-16",
    "speech": "yes",
    "waveform": "no",
    "track": "en",
    "date": "2026",
    "chapters": "0:00 Welcome\n1:30 - Questions, and answers",
}
KEPT: dict[str, Any] = {
    "preset": "podcast",
    "audio": ["mp3", "opus"],
    "bitrate": 128,
    "channels": 1,
    "start": 10,
    "end": 3723.5,
    "fade_out": 2.5,
    "loudness": -16,
    "speech": True,
    "waveform": False,
    "track": "en",
    "date": "2026",
    "chapters": ["0:00 Welcome", "1:30 Questions, and answers"],
}
WRONG = {
    "audio": "mp3,wma",
    "preset": "loud",
    "mode": "lossless",
    "bitrate": "7",
    "quality": "10",
    "channels": "3",
    "sample_rate": "44000",
    "start": "soon",
    "fade_in": "-1",
    "loudness": "loud",
    "true_peak": "3",
    "speed": "10",
    "speech": "perhaps",
    "track": "the second",
    "date": "yesterday",
    "chapters": "Welcome",
    "waveform": "2",
    "model": "none-of-ours",
    "language": "de",
}


def in_a_form(world: World, asked: Mapping[str, str]) -> TestResponse:
    return upload(world, {**asked, "file": a_file()})


def behind_the_file(world: World, asked: Mapping[str, str]) -> TestResponse:
    return upload(world, {"file": a_file(), **asked})


def in_the_query(world: World, asked: Mapping[str, str]) -> TestResponse:
    return world.client.put(f"/v1/files/talk.mp4?{urlencode(asked)}", data=TALK, headers=world.ada)


def in_json(world: World, asked: Mapping[str, str]) -> TestResponse:
    body = {"url": "https://media.example.org/talk.mp4", **asked}
    return world.client.post("/v1/jobs", json=body, headers=world.ada)


def in_metadata(world: World, asked: Mapping[str, str]) -> TestResponse:
    headers = {"Upload_Length": str(len(TALK)), "Upload_Metadata": metadata(**asked), "Content_Type": BYTES}
    answer = Tus(world).send("POST", "/v1/uploads", TALK, **headers)
    return world.get(f"/v1/jobs/{answer.headers['Spool-Job']}") if answer.status_code == 201 else answer


ways = pytest.mark.parametrize("way", [in_a_form, behind_the_file, in_the_query, in_json, in_metadata])


@ways
def test_the_sound_is_asked_for_in_the_same_words(world: World, way: Way) -> None:
    answer = way(world, ASKED)
    assert answer.status_code < 300, answer.text
    options = answer.json["options"]
    assert {name: options[name] for name in KEPT} == KEPT


@ways
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_by_its_name(world: World, way: Way, name: str) -> None:
    answer = way(world, {name: WRONG[name]})
    assert_problem(answer, 422, "invalid")
    assert answer.json["detail"].startswith(f"{name}: ")
    assert world.is_untouched()


@ways
def test_an_end_before_the_start_is_refused(world: World, way: Way) -> None:
    answer = way(world, {"start": "20", "end": "10"})
    assert_problem(answer, 422, "invalid")
    assert "end" in answer.json["detail"]


def test_lists_may_be_lists_in_json(world: World) -> None:
    body = {"url": "https://media.example.org/talk.mp4", "audio": ["flac"], "chapters": ["0 Welcome"], "end": 90}
    options = world.client.post("/v1/jobs", json=body, headers=world.ada).json["options"]
    assert (options["audio"], options["chapters"], options["end"]) == (["flac"], ["0 Welcome"], 90)


def test_a_list_may_be_given_field_by_field(world: World) -> None:
    query = "audio=flac&audio=opus&chapters=0:00%20Welcome&chapters=1:30%20Questions"
    options = world.client.put(f"/v1/files/talk.mp4?{query}", data=TALK, headers=world.ada).json["options"]
    assert (options["audio"], options["chapters"]) == (["flac", "opus"], ["0:00 Welcome", "1:30 Questions"])


def test_a_form_has_room_for_the_chapters_of_a_book(world: World) -> None:
    chapters = [f"{minute // 60}:{minute % 60:02}:00 {'A title of some length, ' * 4}{minute}" for minute in range(500)]
    kept = upload(world, {"file": a_file(), "chapters": "\r\n".join(chapters)}).json["options"]["chapters"]
    assert kept == chapters


def test_an_option_that_is_too_long_is_refused_and_not_cut(world: World) -> None:
    answer = upload(world, {"file": a_file(), "chapters": "0:00 Welcome" + "\n" * LONGEST_FIELD + "1:00 Questions"})
    assert_problem(answer, 422, "invalid")
    assert "chapters" in answer.json["detail"]
    assert world.is_untouched()
