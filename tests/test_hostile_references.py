"""A file that names others, or is two things at once, gets nothing but its own sound: no neighbour, no path, no address."""

from collections.abc import Callable, Iterator

import pytest

from pipeline import child
from tests.hostile import polyglots, references
from tests.hostile.canary import Canary, canary
from tests.hostile.chain import Verdict
from tests.hostile.judging import as_expected, faults
from tests.hostile.making import Hostile
from tests.hostile.workplace import Workplace, workplace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bird(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    with canary(tmp_path_factory.mktemp("canary")) as hatched:
        yield hatched


def connected() -> None:
    """As where the kernel allows no isolation: what ffmpeg may open is all that keeps it from the network."""
    child._WAYS = ()


@pytest.fixture(scope="module", params=[None, connected])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bird: Canary
) -> Iterator[Workplace]:
    """The canary lies in the folder of every attempt, too."""
    with workplace(tmp_path_factory.mktemp("workplace"), beside=bird.path, weaken=request.param) as opened:
        yield opened


def test_what_is_looked_for_is_found_where_it_is(bird: Canary) -> None:
    assert bird.shows(bird.path)


def test_a_tool_without_guards_looks_where_it_is_told_to(bird: Canary) -> None:
    followed = [reference for reference in references.corpus(bird) if reference.follow]
    assert len(followed) > 10
    for reference in followed:
        path = bird.folder / "reference.mp4"
        reference.make(path)
        assert bird.shows(path, *reference.follow), reference.name
    assert bird.calls
    bird.calls.clear()


@pytest.mark.parametrize("corpus", [references.corpus, references.named, polyglots.corpus])
def test_nobody_looks_where_a_file_points(
    place: Workplace, bird: Canary, corpus: Callable[[Canary], Iterator[Hostile]]
) -> None:
    def look(hostile: Hostile, verdict: Verdict) -> None:
        as_expected(hostile, verdict)
        kept_from(bird, place, verdict)

    found = [fault for hostile in corpus(bird) for fault in faults(place, hostile, look)]
    assert not found, "\n".join(found)
    assert not place.left()


def kept_from(bird: Canary, place: Workplace, verdict: Verdict) -> None:
    """The canary was not called, is not heard in any sound, and none of its bytes, nor those of a second file, are kept."""
    assert not bird.calls, bird.calls
    for blob in place.made():
        assert bird.secret not in blob.read_bytes(), "the canary is kept"
    for audio in verdict.of("audio"):
        assert not bird.shows(place.path(audio)), "the canary is heard"
        assert not any(mark in place.path(audio).read_bytes() for mark in polyglots.MARKS), "a second file is kept"


def test_a_list_of_recordings_is_called_what_it_is(place: Workplace, bird: Canary) -> None:
    lists = ("HLS of a path", "a list of parts at a path", "DASH of a path", "SDP")
    for hostile in references.corpus(bird):
        if hostile.name in lists:
            verdict = place.convert(hostile)
            place.remove(verdict)
            assert "playlist" in str(verdict.reason), hostile.name
