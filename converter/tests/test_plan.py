from typing import Any

import pytest

from converter.mp3 import frame_samples, padding_period
from converter.parts import LEAD, Part
from converter.plan import Planner
from pipeline.options import Options
from pipeline.recording import Track
from pipeline.work import NextTask


def planned(seconds: float, *, rate: int = 44100, minutes: float = 5, most: int = 16, **asked: Any) -> list[NextTask]:
    known: dict[str, Any] = {
        name: asked.pop(name) for name in ("exact", "container", "bit_rate", "codec", "constant") if name in asked
    }
    measured = asked.pop("measured", {})
    facts: dict[str, Any] = {"stream": 0, "seconds": seconds, "codec": "aac", "channels": 2, "sample_rate": rate}
    track = Track.model_validate({**facts, "exact": True, **known})
    return Planner(128, minutes, most).encodings(Options.model_validate(asked), track, measured)


def parts(tasks: list[NextTask]) -> list[Part]:
    return [Part.model_validate(task.args["part"]) for task in tasks if "part" in task.args]


@pytest.mark.parametrize("seconds", [0.5, 299, 599.9])
def test_what_is_shorter_than_two_parts_is_made_in_one_piece(seconds: float) -> None:
    assert planned(seconds, audio="mp3,flac") == [NextTask("encode", 0, {})]


@pytest.mark.parametrize(("hours", "count"), [(1 / 6, 2), (0.5, 6), (1, 12), (3, 16), (24, 16)])
def test_a_long_mp3_is_made_in_parts_of_five_minutes_or_more_and_sixteen_at_most(hours: float, count: int) -> None:
    tasks = planned(3600 * hours)
    assert [(task.kind, task.part) for task in tasks] == [("encode", number) for number in range(count)]
    assert len(parts(tasks)) == count


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000])
def test_parts_follow_each_other_without_a_gap_nearly_equal_and_where_frame_sizes_begin_anew(rate: int) -> None:
    made = parts(planned(3601.5, rate=rate))
    frames = 3601.5 * rate / frame_samples(rate)
    assert made[0].first == 0
    assert made[-1].next is None
    assert [part.next for part in made[:-1]] == [part.first for part in made[1:]]
    lengths = [(part.next or frames) - part.first for part in made]
    assert max(lengths) - min(lengths) <= 2 * padding_period(rate)
    assert all(part.first % padding_period(rate) == part.begin % padding_period(rate) == 0 for part in made)
    assert LEAD % padding_period(rate) == 0


def test_other_formats_beside_a_long_mp3_are_one_task_more() -> None:
    tasks = planned(1800, audio="opus,mp3,flac")
    assert len(parts(tasks)) == 6
    assert tasks[-1] == NextTask("encode", 6, {"audio": ["opus", "flac"]})


def test_what_was_measured_is_told_to_all_and_says_how_long_the_result_is() -> None:
    measured = {"level": {"integrated": -20.0}, "seconds": 900.0, "gain": 4.0}
    tasks = planned(1800, audio="mp3,opus", measured=measured)
    assert len(parts(tasks)) == 3
    assert all({**task.args, **measured} == task.args for task in tasks)
    assert planned(300, measured=measured) != planned(300)


@pytest.mark.parametrize(
    "asked",
    [
        {"speed": 1.5},
        {"silence": 1},
        {"denoise": True},
        {"audio": "opus"},
        {"preset": "archive"},
        {"most": 1},
        {"partial": True},
        {"codec": "mp3float", "container": "mp3", "bit_rate": 128000, "constant": True},
    ],
    ids=["speed", "silence", "denoise", "opus", "flac", "one part at most", "may break off", "an MP3 already"],
)
def test_what_cannot_be_divided_is_made_in_one_piece(asked: dict[str, Any]) -> None:
    assert planned(7200, **asked) == [NextTask("encode", 0, {})]


@pytest.mark.parametrize(
    "asked", [{"exact": False}, {"start": 1}, {"end": 7000}, {"fade_in": 1}, {"fade_out": 1}, {"sample_rate": 48000}]
)
def test_a_track_that_is_decoded_from_its_beginning_for_each_part_has_four_at_most(asked: dict[str, Any]) -> None:
    assert len(parts(planned(7200, **asked))) == 4


def test_only_what_is_left_of_a_recording_counts() -> None:
    assert len(parts(planned(7200, start=0, end=900))) == 3
    assert planned(7200, start=6900) == [NextTask("encode", 0, {})]


@pytest.mark.parametrize("seconds", [0.1, 5, 11, 60])
def test_however_small_parts_are_asked_for_they_are_longer_than_what_a_seam_needs(seconds: float) -> None:
    made = parts(planned(seconds, minutes=1e-9, most=999))
    assert all((part.next or 10**9) - part.first >= 49 for part in made)
