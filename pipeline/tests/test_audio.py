from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.audio import PRESETS, Audio, AudioFormat, Preset, Profile, seconds_of
from pipeline.options import Options

BITRATE = 128


def profile(**options: Any) -> Profile:
    return Audio.model_validate(options).profile(BITRATE)


def refused(options: dict[str, Any]) -> set[str | int]:
    with pytest.raises(ValidationError) as refusal:
        Options.model_validate(options)
    return {error["loc"][0] for error in refusal.value.errors()}


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("3723.5", 3723.5),
        ("1:30", 90.0),
        ("62:03", 3723.0),
        ("1:02:03.25", 3723.25),
        (" 01:02:03 ", 3723.0),
        ("100:00:00", 360000.0),
        (12, 12),
        (12.5, 12.5),
    ],
)
def test_clock_times_are_seconds(clock: object, seconds: float) -> None:
    assert seconds_of(clock) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_time_can_be_said_in_each_way(hours: int, minutes: int, seconds: int, thousandths: int) -> None:
    exact = 3600 * hours + 60 * minutes + seconds + thousandths / 1000
    for said in (
        f"{hours}:{minutes:02}:{seconds:02}.{thousandths:03}",
        f"{60 * hours + minutes}:{seconds:02}.{thousandths:03}",
        f"{3600 * hours + 60 * minutes + seconds}.{thousandths:03}",
    ):
        assert seconds_of(said) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    "odd",
    [
        "1:60",
        "1:60:00",
        "1:2:3:4",
        ":30",
        "1:",
        "-5",
        "-1:00",
        "1:00.",
        "soon",
        "\u0663:\u0660\u0660",
        "100:00:01",
        "nan",
        "inf",
    ],
)
def test_what_is_no_time_is_refused(odd: str) -> None:
    assert refused({"start": odd}) == {"start"}


@pytest.mark.parametrize(
    ("lines", "chapters"),
    [
        ("0:00 Welcome\n1:02:03 Questions", ("0:00 Welcome", "1:02:03 Questions")),
        ("0:00 - Welcome\r\n\r\n 90.5 \u2013  Two words \r\n", ("0:00 Welcome", "90.5 Two words")),
        (["0:00 Welcome", "1:00 3:2 for us"], ("0:00 Welcome", "1:00 3:2 for us")),
        (["0:00 Welcome\n1:00 Questions"], ("0:00 Welcome", "1:00 Questions")),
        ("", ()),
        ([""], ()),
        ([], ()),
    ],
)
def test_chapters_are_a_time_and_a_title_a_line(lines: object, chapters: tuple[str, ...]) -> None:
    assert Options.model_validate({"chapters": lines}).chapters == chapters


def test_no_chapters_are_something_else_than_no_word_about_them() -> None:
    assert Options().chapters is None
    assert Options.model_validate({"chapters": ""}).kept() == {"chapters": []}


def test_a_chapter_that_cannot_be_read_is_shown() -> None:
    with pytest.raises(ValidationError, match=r"'1:75 \{Too late\}' is not a time and a title"):
        Options.model_validate({"chapters": "0:00 Welcome\n1:75 {Too late}"})


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ({"start": "1:00", "end": "0:30"}, "end"),
        ({"start": "0:30", "end": "30"}, "end"),
        ({"mode": "cbr", "quality": 2}, "quality"),
        ({"preset": "archive", "quality": 2}, "quality"),
        ({"bitrate": 96, "quality": 2}, "quality"),
        ({"mode": "vbr", "bitrate": 96}, "bitrate"),
        ({"audio": "flac,wav", "bitrate": 96}, "bitrate"),
        ({"audio": "ogg", "bitrate": 96}, "bitrate"),
        ({"audio": "m4a", "mode": "cbr"}, "mode"),
        ({"preset": "archive", "mode": "vbr"}, "mode"),
        ({"true_peak": -2}, "true_peak"),
        ({"preset": "podcast", "loudness": "off", "true_peak": -2}, "true_peak"),
        ({"silence": 2, "chapters": "0:00 Welcome"}, "chapters"),
        ({"chapters": "1:00 Welcome\n0:30 Questions"}, "chapters"),
        ({"chapters": "0:00 Welcome\n0:00 Questions"}, "chapters"),
        ({"chapters": "Welcome"}, "chapters"),
        ({"chapters": "0:00"}, "chapters"),
        ({"chapters": "1.2.3 Welcome"}, "chapters"),
        ({"chapters": "999999 Welcome"}, "chapters"),
        ({"chapters": "\n".join(f"{second} A" for second in range(501))}, "chapters"),
        ({"date": "2026-02-30"}, "date"),
        ({"date": "26"}, "date"),
        ({"channels": "3"}, "channels"),
        ({"sample_rate": "44000"}, "sample_rate"),
        ({"loudness": "loud"}, "loudness"),
        ({"audio": "mp3,doc"}, "audio"),
        ({"preset": "radio"}, "preset"),
        ({"speed": "0"}, "speed"),
        ({"track": "the second"}, "track"),
        ({"track": True}, "track"),
    ],
)
def test_a_mistake_is_told_by_its_name(mistake: dict[str, Any], named: str) -> None:
    assert refused(mistake) == {named}


def test_all_contradictions_are_told_at_once() -> None:
    assert refused({"start": 2, "end": 1, "true_peak": -1}) == {"end", "true_peak"}


def test_without_a_word_it_is_an_mp3_of_the_installations_bit_rate() -> None:
    assert profile() == Profile(audio=("mp3",), mode="cbr", bitrate=BITRATE)


@pytest.mark.parametrize("preset", get_args(Preset))
def test_a_preset_sets_what_it_says(preset: Preset) -> None:
    made = profile(preset=preset)
    assert {name: getattr(made, name) for name in PRESETS[preset]} == PRESETS[preset]


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"preset": "podcast", "bitrate": 64}, "bitrate", 64),
        ({"preset": "podcast", "audio": "opus"}, "audio", ("opus",)),
        ({"preset": "podcast", "loudness": "off"}, "loudness", "off"),
        ({"preset": "podcast", "audio": ""}, "audio", ("mp3",)),
        ({"preset": "voice", "speech": False}, "speech", False),
        ({"preset": "voice", "channels": 2}, "channels", 2),
        ({"preset": "music", "bitrate": 192}, "mode", "cbr"),
        ({"preset": "podcast", "quality": 0}, "mode", "vbr"),
        ({"quality": 0}, "quality", 0),
        ({"quality": 0}, "mode", "vbr"),
        ({"mode": "abr", "bitrate": 100}, "mode", "abr"),
        ({"audio": "mp3,ogg", "bitrate": 96, "quality": 3}, "mode", "cbr"),
        ({"start": 0}, "start", 0),
    ],
)
def test_what_is_given_goes_before_the_preset(options: dict[str, Any], name: str, value: object) -> None:
    assert getattr(profile(**options), name) == value


@pytest.mark.parametrize("form", get_args(AudioFormat))
def test_a_preset_can_be_made_as_any_format(form: AudioFormat) -> None:
    for preset in get_args(Preset):
        assert profile(preset=preset, audio=form).audio == (form,)


def test_a_format_is_made_once_however_often_it_is_asked_for() -> None:
    assert profile(audio="mp3,flac,mp3").audio == ("mp3", "flac")


@pytest.mark.parametrize(
    "options", [{}, {"preset": "music"}, {"preset": "archive"}, {"bitrate": 64}, {"channels": 1}, {"loudness": "off"}]
)
def test_encoding_alone_leaves_the_sound_as_recorded(options: dict[str, Any]) -> None:
    assert profile(**options).as_recorded


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "podcast"},
        {"preset": "voice"},
        {"start": 1},
        {"end": 1},
        {"fade_in": 1},
        {"fade_out": 0.5},
        {"silence": 1},
        {"loudness": -16},
        {"speed": 1.5},
        {"speech": True},
        {"denoise": True},
    ],
)
def test_whatever_is_done_to_the_sound_is_known(options: dict[str, Any]) -> None:
    assert not profile(**options).as_recorded


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 100),
        ({"start": 10}, 90),
        ({"end": 60}, 60),
        ({"end": 160}, 100),
        ({"start": 10, "end": 60}, 50),
        ({"start": 10, "end": 60, "speed": 2}, 25),
        ({"start": 200}, 0),
    ],
)
def test_how_long_the_result_becomes_is_known_before(options: dict[str, Any], seconds: float) -> None:
    assert profile(**options).seconds(100) == seconds


def test_what_may_be_said_is_described() -> None:
    described = Audio.model_json_schema()["properties"]
    assert all(option["description"] for option in described.values())
    limits = {name: described[name]["anyOf"][0] for name in ("start", "fade_in", "silence", "track", "date")}
    assert (limits["start"]["minimum"], limits["start"]["maximum"]) == (0, 360000)
    assert (limits["fade_in"]["maximum"], limits["silence"]["minimum"]) == (60, 0.1)
    assert {"type", "pattern"} <= set(limits["track"]) & set(limits["date"])
    assert described["start"]["anyOf"][1]["type"] == "string"
    assert described["channels"]["anyOf"][0] == {"enum": [1, 2], "type": "integer"}
