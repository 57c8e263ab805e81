"""Lists of watched folders from the beginning, and page by page."""

import pytest
from sqlalchemy import update

from pipeline.catalog import TaskRow
from pipeline.database import transaction
from pipeline.errors import Interrupted, Retry
from sync.dropbox import account as dropbox
from sync.tests.watched import TALK, Watched
from sync.watching import watch as watching


def test_a_reset_lists_all_again_and_doubles_nothing(watched: Watched) -> None:
    for number in range(7):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    watched.watch()
    watched.dropbox.delete("/Talks/3.mp4")
    watched.dropbox.put("/Talks/new.mp4", TALK)
    watched.dropbox.reset_cursors()
    watched.stand_in.page = 3
    watched.watch_all()
    assert len(watched.jobs()) == 8
    states = watched.states()
    assert states.pop("/Talks/3.mp4") == "gone"
    assert set(states.values()) == {"taken"}
    (folder,) = watched.folders()
    assert (folder.round, folder.listed) == (1, True)


def test_a_list_goes_on_after_a_kill_between_two_pages(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    watched.watch()
    watched.dropbox.delete("/Talks/3.mp4")
    watched.dropbox.reset_cursors()
    _with_pages_of(monkeypatch, 3)
    beats = 0

    def killed(_percent: float, _speed: float | None = None) -> None:
        nonlocal beats
        beats += 1
        if watched.folders()[0].cursor and watched.folders()[0].round == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        watched.watch(killed)
    (folder,) = watched.folders()
    assert (folder.round, folder.listed) == (1, False)
    assert "gone" not in watched.states().values()
    with transaction(watched.catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.kind == "watch").values(state="queued"))
    watched.stand_in.reset_counters()
    watched.watch_all()
    assert watched.stand_in.calls["files/list_folder"] == 0
    assert len(watched.jobs()) == 9
    assert [path for path, state in watched.states().items() if state == "gone"] == ["/Talks/3.mp4"]


def test_a_run_ends_after_so_many_pages_and_goes_on_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_PAGES", 2)
    _with_pages_of(monkeypatch, 2)
    for number in range(8):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    assert watched.watch().again == 0
    assert 0 < len(watched.jobs()) < 8
    watched.watch_all()
    assert len(watched.jobs()) == 8


def test_a_place_that_is_lost_again_and_again_is_tried_later(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_pages_of(monkeypatch, 1)
    for number in range(3):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    watched.watch()
    watched.stand_in.fail("reset", "reset", "reset", route="files/list_folder/continue")
    with pytest.raises(Retry, match=watching.LOST):
        watched.watch()
    assert watched.connection.reason == watching.LOST
    assert watched.stand_in.faults_left == 1


def test_five_hundred_small_files_cost_few_calls(watched: Watched) -> None:
    for number in range(500):
        watched.dropbox.put(f"/Talks/{number}.mp3", b"\0%d" % number)
    watched.stand_in.reset_counters()
    watched.watch_all()
    assert len({job.title for job in watched.jobs()}) == len(watched.jobs()) == 500
    assert watched.stand_in.api_calls <= 3
    assert watched.stand_in.downloaded == 0


def _with_pages_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(dropbox, "PAGE", size)
