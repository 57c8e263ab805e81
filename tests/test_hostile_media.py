"""Every kind of file that means harm ends with a reason or with its own sound, and leaves nothing and takes nothing."""

from collections.abc import Callable, Iterator

import pytest

from tests.hostile import bombs, broken, odd
from tests.hostile.judging import as_expected, faults
from tests.hostile.making import Hostile, made, sine
from tests.hostile.workplace import Workplace, workplace

pytestmark = pytest.mark.slow
EVERYTHING = {"audio": ("mp3", "m4a", "opus", "wav"), "loudness": -16, "partial": True}
BROKEN = [broken.no_media, broken.cut, broken.lying_tables, broken.deep]
ODD = [odd.little, odd.much, odd.rates, odd.numbers, odd.protected, odd.pictures, odd.words]
BOMBS = [bombs.long, bombs.sparse, bombs.moving, bombs.words, bombs.tables, bombs.packed]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    """One converter for all files, so that what any of them leaves is seen."""
    with workplace(tmp_path_factory.mktemp("workplace")) as opened:
        yield opened
        assert not opened.left()


@pytest.mark.parametrize("corpus", [*BROKEN, *ODD, *BOMBS])
def test_each_ends_with_its_reason_or_its_sound(place: Workplace, corpus: Callable[[], Iterator[Hostile]]) -> None:
    found = [fault for hostile in corpus() for fault in faults(place, hostile, as_expected)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("corpus", [*BROKEN, *ODD])
def test_none_does_harm_to_all_that_can_be_asked_for(place: Workplace, corpus: Callable[[], Iterator[Hostile]]) -> None:
    found = [fault for hostile in corpus() for fault in faults(place, hostile, lambda *_: None, **EVERYTHING)]
    assert not found, "\n".join(found)


def test_a_good_recording_goes_through_all_stages(place: Workplace) -> None:
    good = Hostile("half a minute", lambda path: path.write_bytes(made(*sine(30), kind="flac")), seconds=30)
    verdict = place.convert(good, audio=("mp3", "opus"), loudness=-16)
    place.remove(verdict)
    assert {*verdict.stages} == {"extract", "measure", "encode", "join", "draw"}
    assert [artifact.name for artifact in verdict.of("audio")] == ["talk.opus", "talk.mp3"]
