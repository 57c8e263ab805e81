from pathlib import Path
from typing import get_args

from pipeline.audio import PRESETS, SIZES, Audio, AudioFormat
from pipeline.ffmpeg import FORMATS
from pipeline.formats import INPUTS, OUTPUTS, USES, tables

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tables_in_the_docs_are_the_truth() -> None:
    assert (DOCS / "formats.md").read_text().endswith(tables()), "run: python -m pipeline formats"


def test_nothing_may_open_a_file_but_what_a_kind_of_recording_needs() -> None:
    assert set(FORMATS.split(",")) == {row.demuxer for row in INPUTS}


def test_an_extension_stands_for_one_kind() -> None:
    assert len({row.extension for row in INPUTS}) == len(INPUTS)


def test_every_format_and_preset_is_described() -> None:
    assert set(OUTPUTS) == set(SIZES) == set(get_args(AudioFormat))
    assert set(USES) == set(PRESETS)
    assert {name for names in SIZES.values() for name in names} <= set(Audio.model_fields)
