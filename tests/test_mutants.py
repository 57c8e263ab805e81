"""Two thousand recordings in which some bits are turned: each ends with a reason or with sound."""

import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path

import pytest

from tests.hostile.chain import Verdict
from tests.hostile.judging import harmless
from tests.hostile.mutants import MOST, SEEDS, Mutant, seed
from tests.hostile.workplace import Workplace, workplace

pytestmark = pytest.mark.slow
FEW = 100
"""Of them are drawn, measured and made in every format, too."""


def judged(place: Workplace, mutants: range, **asked: object) -> Iterator[tuple[Mutant, Verdict]]:
    """How the jobs of these mutants ended, in any order; they are gone by then."""
    begun = {}
    for number in mutants:
        path = place.folder / f"{number}.bin"
        Mutant(number).make(path)
        begun[place.start(path, f"{number}.mp4", asked)] = number, path
    for future in as_completed(begun):
        number, path = begun.pop(future)
        yield Mutant(number), future.result()
        path.unlink()


def faults(place: Workplace, mutants: range, **asked: object) -> list[str]:
    found = []
    for mutant, verdict in judged(place, mutants, **asked):
        try:
            harmless(place, verdict)
        except Exception as error:
            found.append(f"{mutant}\n{error}")
        place.remove(verdict)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path_factory.mktemp("mutants"), workers=min(3, (os.cpu_count() or 1) + 1)) as opened:
        yield opened


@pytest.mark.timeout(900)
def test_no_mutant_does_harm(place: Workplace) -> None:
    found = faults(place, range(MOST), waveform=False)
    assert not found, "\n\n".join(found)


def test_no_mutant_does_harm_to_all_that_can_be_asked_for(place: Workplace) -> None:
    found = faults(place, range(FEW), audio=("mp3", "opus", "m4a"), loudness=-16, partial=True)
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("kind", SEEDS)
def test_what_mutants_are_made_of_is_taken(place: Workplace, tmp_path: Path, kind: str) -> None:
    (tmp_path / "seed").write_bytes(seed(kind))
    verdict = place.start(tmp_path / "seed", "seed.mp4", {}).result()
    harmless(place, verdict)
    assert verdict.reason is None


def test_the_same_number_is_the_same_mutant(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in "abc")
    Mutant(22).make(first)
    Mutant(22).make(again)
    Mutant(22 + len(SEEDS)).make(other)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes() != seed(Mutant(22).kind)
