from typing import get_args

from gateway.tests.conftest import World
from pipeline.audio import Audio, AudioFormat, Preset


def test_everybody_may_see_what_is_taken_and_what_is_made(world: World) -> None:
    answer = world.client.get("/v1/formats")
    assert answer.status_code == 200
    assert {"mp4", "mkv", "mp3", "wma"} <= {row["extension"] for row in answer.json["inputs"]}
    assert [row["name"] for row in answer.json["outputs"]] == list(get_args(AudioFormat))
    assert [row["name"] for row in answer.json["presets"]] == list(get_args(Preset))


def test_an_output_says_what_the_file_is_and_which_options_size_it(world: World) -> None:
    opus = next(row for row in world.client.get("/v1/formats").json["outputs"] if row["name"] == "opus")
    assert (opus["extension"], opus["type"], opus["options"]) == ("opus", "audio/ogg", ["bitrate"])


def test_what_a_preset_sets_can_be_asked_for_without_it(world: World) -> None:
    for preset in world.client.get("/v1/formats").json["presets"]:
        named = Audio(preset=preset["name"]).profile(bitrate=128)
        assert Audio.model_validate(preset["sets"]).profile(bitrate=128) == named
