from datetime import date

import pytest

from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.speech_models import BYTES_PER_SECOND, Choice, Model, Unfit, _table, model

EVERY = sorted(_table())
CHOICE = Choice.of(Settings(speech_model="/srv/models/tiny.en", speech_models="base whisper-1 base"))


@pytest.mark.parametrize("name", EVERY)
def test_a_part_keeps_within_the_limits_of_its_model(name: str) -> None:
    row = model(name)
    assert row.name == name
    assert 30 < row.part_seconds <= 0.9 * row.seconds
    assert row.part_seconds * BYTES_PER_SECOND[row.audio] <= 0.9 * row.bytes


def test_an_unknown_model_gets_the_safest_row() -> None:
    assert model("somebody/their-model-9") == Model(name="somebody/their-model-9")
    assert model("somebody/their-model-9").format == "json"
    assert model("somebody/their-model-9").part_seconds == 90


def test_parts_of_models_without_times_are_short_and_those_of_local_ones_are_shared() -> None:
    assert model("gpt-transcribe").part_seconds == model("gpt-4o-transcribe").part_seconds == 90
    assert model("whisper-1").part_seconds == model("gpt-4o-transcribe-diarize").part_seconds == 1200
    assert model("tiny.en").part_seconds == 600


def test_a_small_file_limit_makes_small_parts() -> None:
    assert Model(name="x", formats=("verbose_json",), bytes=1_000_000).part_seconds == pytest.approx(142.86, abs=0.01)


def test_a_folder_is_known_by_its_name_and_its_path_is_not_told() -> None:
    assert model("/srv/models/tiny.en") == model("tiny.en")
    assert model("openai/whisper-1").name == "openai/whisper-1"
    assert model("openai/whisper-1").words


def test_each_model_is_asked_for_what_tells_most() -> None:
    formats = {name: model(name).format for name in ("whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize")}
    assert list(formats.values()) == ["verbose_json", "json", "diarized_json"]
    assert [model(name).timed for name in formats] == [True, False, True]


def test_a_model_that_knows_only_english_needs_no_translation() -> None:
    assert model("tiny.en").translates
    assert not model("tiny.en").translation
    assert not model("tiny.en").knows("de")
    assert model("base").knows("de")
    assert not model("gpt-transcribe").translates


def test_the_end_of_a_model_is_near_ninety_days_before_it() -> None:
    assert not model("whisper-1").ends_soon(date(2026, 11, 27))
    assert model("whisper-1").ends_soon(date(2026, 11, 28))
    assert model("whisper-1").ends_soon(date(2030, 1, 1))
    assert not model("tiny.en").ends_soon(date(2030, 1, 1))


def test_the_first_model_is_asked_where_none_is_named() -> None:
    assert [one.name for one in CHOICE.models] == ["tiny.en", "base", "whisper-1"]
    assert CHOICE.fitting(Options()) == model("tiny.en")
    assert CHOICE.fitting(Options(model="whisper-1")) == model("whisper-1")


def test_a_model_that_is_not_offered_is_refused_with_those_that_are() -> None:
    with pytest.raises(Unfit, match=r"It has: tiny\.en, base, whisper-1\."):
        CHOICE.fitting(Options(model="gpt-transcribe"))


def test_what_a_model_cannot_do_is_refused() -> None:
    with pytest.raises(Unfit, match="does not know the language"):
        CHOICE.fitting(Options(language="de"))
    assert CHOICE.fitting(Options(language="de", model="base")).name == "base"
    with pytest.raises(Unfit, match="cannot translate"):
        Choice((model("gpt-transcribe"),)).fitting(Options(translate=True))
    assert CHOICE.fitting(Options(translate=True)).name == "tiny.en"
