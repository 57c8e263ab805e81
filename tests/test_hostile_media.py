"""Every kind of file that means harm ends with a reason or with its own sound, and leaves nothing and takes nothing."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.hostile import bombs, broken, odd, polyglots, references
from tests.hostile.canary import Canary, canary, heard
from tests.hostile.chain import Verdict
from tests.hostile.judging import harmless
from tests.hostile.making import Hostile
from tests.hostile.workplace import Workplace, workplace

pytestmark = pytest.mark.slow
EVERYTHING = {"audio": ("mp3", "m4a", "opus", "ogg", "flac", "wav"), "loudness": -16, "partial": True}


def named(corpus: Iterable[Hostile]) -> Iterator[object]:
    return (pytest.param(hostile, id=hostile.name) for hostile in corpus)


@pytest.fixture(scope="module")
def bird(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    with canary(tmp_path_factory.mktemp("canary")) as hatched:
        yield hatched


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, bird: Canary) -> Iterator[Workplace]:
    """One converter for all files, so that what any of them leaves is seen."""
    with workplace(tmp_path_factory.mktemp("workplace"), beside=bird.path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _tidy(place: Workplace) -> Iterator[None]:
    yield
    place.clear()


def as_expected(hostile: Hostile, verdict: Verdict) -> None:
    """Refused for the reason it has, or taken at the length it has."""
    if verdict.reason is not None:
        assert hostile.either or hostile.seconds is None, verdict.reason
        assert hostile.reason in verdict.reason
        return
    assert hostile.seconds is not None, verdict.artifacts
    for audio in verdict.of("audio"):
        assert audio.facts["seconds"] <= hostile.seconds + 0.1
        assert hostile.either or audio.facts["seconds"] > hostile.seconds - 0.1


@pytest.mark.parametrize("hostile", named(chain(broken.corpus(), odd.corpus(), bombs.corpus())))
def test_it_ends_with_a_reason_or_with_its_sound(place: Workplace, hostile: Hostile) -> None:
    verdict = place.convert(hostile)
    harmless(place, verdict)
    as_expected(hostile, verdict)


@pytest.mark.parametrize("hostile", named(chain(broken.corpus(), odd.corpus())))
def test_it_is_harmless_to_all_that_can_be_asked_for(place: Workplace, hostile: Hostile) -> None:
    harmless(place, place.convert(hostile, **{**EVERYTHING, **hostile.options}))
