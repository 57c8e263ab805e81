"""Every kind of file that means harm ends with a reason or with its own sound, and leaves nothing and takes nothing."""

from collections.abc import Iterable, Iterator
from itertools import chain

import pytest

from tests.hostile import bombs, broken, odd
from tests.hostile.judging import as_expected, harmless
from tests.hostile.making import Hostile
from tests.hostile.workplace import Workplace, workplace

pytestmark = pytest.mark.slow
EVERYTHING = {"audio": ("mp3", "m4a", "opus", "ogg", "flac", "wav"), "loudness": -16, "partial": True}


def named(corpus: Iterable[Hostile]) -> Iterator[object]:
    return (pytest.param(hostile, id=hostile.name) for hostile in corpus)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """One converter for all files, so that what any of them leaves is seen."""
    with workplace(tmp_path_factory.mktemp("workplace")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _tidy(place: Workplace) -> Iterator[None]:
    yield
    place.clear()


@pytest.mark.parametrize("hostile", named(chain(broken.corpus(), odd.corpus(), bombs.corpus())))
def test_it_ends_with_a_reason_or_with_its_sound(place: Workplace, hostile: Hostile) -> None:
    verdict = place.convert(hostile)
    harmless(place, verdict)
    as_expected(hostile, verdict)


@pytest.mark.parametrize("hostile", named(chain(broken.corpus(), odd.corpus())))
def test_it_is_harmless_to_all_that_can_be_asked_for(place: Workplace, hostile: Hostile) -> None:
    harmless(place, place.convert(hostile, **{**EVERYTHING, **hostile.options}))
