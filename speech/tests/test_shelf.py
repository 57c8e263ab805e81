"""Which model is in memory."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from dev.waiting import eventually
from speech.model import Wishes
from speech.shelf import Shelf
from speech.sources import source


@pytest.fixture
def twins(tmp_path: Path) -> Sequence[str]:
    """Two names of one model."""
    for name in ("left", "right"):
        (tmp_path / name).symlink_to(source("tiny.en").folder())
    return [str(tmp_path / "left"), str(tmp_path / "right")]


def loaded() -> set[str]:
    told = {name: REGISTRY.get_sample_value("speech_model_loaded", {"model": name}) for name in ("left", "right")}
    return {name for name, value in told.items() if value}


def hear(shelf: Shelf, model: str, media: Path, folder: Path) -> str:
    upload = folder / "upload"
    upload.unlink(missing_ok=True)
    upload.symlink_to(media / "jfk.flac")
    with shelf.hearing(model, upload, Wishes(model=model), lambda: None) as hearing:
        assert loaded() == {model}
        return "".join(segment.text for segment in hearing.segments)


def test_one_model_is_in_memory_at_a_time(twins: Sequence[str], media: Path, tmp_path: Path) -> None:
    shelf = Shelf(twins)
    assert loaded() == set()
    for model in ("left", "right", "left"):
        assert "country" in hear(shelf, model, media, tmp_path)
        assert loaded() == {model}


def test_an_idle_model_leaves_memory_and_comes_back(twins: Sequence[str], media: Path, tmp_path: Path) -> None:
    shelf = Shelf(twins, idle=0.1)
    for _ in range(2):
        assert "country" in hear(shelf, "left", media, tmp_path)
        eventually(lambda: not loaded())


def test_a_model_that_is_used_stays(twins: Sequence[str], media: Path, tmp_path: Path) -> None:
    shelf = Shelf(twins, idle=100)
    hear(shelf, "left", media, tmp_path)
    first = shelf._timer
    assert first
    with shelf.hearing("left", tmp_path / "upload", Wishes(model="left"), lambda: None):
        first.function()  # as if it had been too late to cancel it
        assert first.finished.is_set()
        assert loaded() == {"left"}
    assert shelf._timer
    shelf._timer.cancel()


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tiny\.en"):
        Shelf(["tiny.en", "/models/tiny.en"])
    assert list(Shelf(["tiny.en", "tiny.en"]).ready()) == ["tiny.en"]
