import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from speech.sources import Pieces, source

HALVES = (b"first half, ", b"second half")
SHA256 = hashlib.sha256(b"".join(HALVES)).hexdigest()


@pytest.fixture
def halves(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"part{number}" / "model.bin.part" for number in (1, 2)]
    for path, content in zip(paths, HALVES, strict=True):
        path.parent.mkdir()
        path.write_bytes(content)
    (tmp_path / "part1/tokenizer.json").write_text("{}")
    return paths


def test_pieces_are_joined_beside_what_else_a_model_has(halves: list[Path], tmp_path: Path) -> None:
    folder = Pieces("mine", halves, SHA256, tmp_path / "cache").folder()
    assert (folder / "model.bin").read_bytes() == b"".join(HALVES)
    assert {path.name for path in folder.iterdir()} == {"model.bin", "tokenizer.json"}


def test_they_are_joined_once(halves: list[Path], tmp_path: Path) -> None:
    Pieces("mine", halves, SHA256, tmp_path / "cache").folder()
    for half in halves:
        half.unlink()
    again = Pieces("mine", halves, SHA256, tmp_path / "cache")
    assert (again.folder() / "model.bin").is_file()
    assert not again.there()


def test_several_may_join_at_a_time(halves: list[Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        joined = [pool.submit(Pieces("mine", halves, SHA256, tmp_path / "cache").folder) for _ in range(8)]
    assert len({each.result() for each in joined}) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_other_pieces_are_not_taken(halves: list[Path], tmp_path: Path) -> None:
    halves[1].write_bytes(b"something else")
    with pytest.raises(ValueError, match="do not hold the model"):
        Pieces("mine", halves, SHA256, tmp_path / "cache").folder()
    assert not list((tmp_path / "cache").iterdir())


def test_weights_that_were_changed_are_not_loaded(halves: list[Path], tmp_path: Path) -> None:
    pieces = Pieces("mine", halves, SHA256, tmp_path / "cache")
    (pieces.folder() / "model.bin").write_bytes(b"something else")
    with pytest.raises(ValueError, match="remove it"):
        pieces.folder()


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    assert not source(str(tmp_path)).there()
    (tmp_path / "model.bin").touch()
    assert source(str(tmp_path)).there()
