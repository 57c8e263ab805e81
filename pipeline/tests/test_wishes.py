from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.wishes import MOST_FOLDERS, Wishes


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/Recordings", "/Recordings"),
        ("/Recordings/", "/Recordings"),
        ("//Recordings//2026", "/Recordings/2026"),
        ("/", ""),
        ("", ""),
        ("/Cafe\u0301", "/Caf\u00e9"),
    ],
)
def test_a_folder_has_one_way_to_be_written(given: str, kept: str) -> None:
    assert Wishes(folders=(given,)).folders == (kept,)


@pytest.mark.parametrize(
    "path",
    ["Recordings", "a/b", "/..", "/a/../b", "/a/./b", "/a\\b", "/a\nb", "/a\0", "/" + "a" * 256, "/abc" * 126, " /a"],
)
def test_what_is_no_absolute_path_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Wishes(folders=(path,))
    with pytest.raises(ValidationError):
        Wishes(folders=("/a",), results="folder", results_folder=path)


@pytest.mark.parametrize(
    "folders",
    [(), ("/a", "/a"), ("/a", "/A/"), ("/a", "/a/b"), ("/A/b/c", "/a"), ("", "/a"), ("/Caf\u00e9", "/Cafe\u0301/x")],
)
def test_no_folder_is_named_twice_or_in_another(folders: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        Wishes(folders=folders)


def test_names_that_begin_alike_are_apart() -> None:
    assert Wishes(folders=("/a", "/ab", "/a b", "/b/a")).folders == ("/a", "/ab", "/a b", "/b/a")


def test_there_are_so_many_folders_at_most() -> None:
    some = tuple(f"/{number}" for number in range(MOST_FOLDERS))
    assert Wishes(folders=some).folders == some
    with pytest.raises(ValidationError):
        Wishes(folders=(*some, "/more"))


@pytest.mark.parametrize(
    "wanted",
    [
        {"results": "folder"},
        {"results_folder": "/done"},
        {"results": "none", "results_folder": "/done"},
        {"conflict": "ask"},
        {"results": "mail"},
        {"options": {"unheard": 1}},
        {"options": {"title": "all the same"}},
        {"cursor": "x"},
    ],
)
def test_what_does_not_fit_together_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Wishes.model_validate({"folders": ["/a"], **wanted})


def test_results_go_beside_unless_something_else_is_wished() -> None:
    wishes = Wishes(folders=("/a",))
    assert (wishes.results, wishes.results_folder, wishes.conflict) == ("beside", None, "rename")
    assert Wishes(folders=("/a",), results="folder", results_folder="/a/done").results_folder == "/a/done"
