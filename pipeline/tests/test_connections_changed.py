"""Other folders for a connection, and what is known of the old ones."""

import pytest
from sqlalchemy import Engine, select, update

from pipeline.catalog import FolderRow, RemoteFileRow
from pipeline.connections import Connections
from pipeline.database import transaction
from pipeline.jobs import Settled
from pipeline.tests.connecting import a_connection, a_remote_file, folder_rows, kinds, wishes
from pipeline.tests.makers import OWNER


def test_folders_that_stay_keep_what_is_known_of_them(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog, "/a", "/b")
    with transaction(catalog) as session:
        session.execute(update(FolderRow).where(FolderRow.connection_id == found.id).values(cursor="c1"))
    changed = connections.change(OWNER, found.id, wishes("/c", "/B", results="none", options={"tags": ["x"]}))
    assert changed
    connection, sent = changed
    assert [(folder.path, folder.cursor, folder.number) for folder in connection.folders] == [
        ("/b", "c1", 1),
        ("/c", None, 2),
    ]
    assert (connection.results, connection.options.tags, kinds(sent)) == ("none", ("x",), ["watch"])


@pytest.mark.parametrize(
    ("before", "after", "known"),
    [
        ("/a", "/a/b_", ["/a/B_/x.mp4"]),
        ("/a/b_", "/a", ["/a/B_/x.mp4"]),
        ("/a", "", ["/a/B_/x.mp4", "/a/bc/x.mp4"]),
        ("/a", "/c", []),
    ],
)
def test_known_files_stay_known_where_a_folder_grows_or_shrinks(
    catalog: Engine, before: str, after: str, known: list[str]
) -> None:
    found = a_connection(catalog, before)
    for path in ("/a/B_/x.mp4", "/a/bc/x.mp4"):
        if path.lower().startswith(f"{before}/"):
            a_remote_file(catalog, folder_rows(catalog, found.id)[before], path)
    Connections(catalog).change(OWNER, found.id, wishes(after))
    with transaction(catalog) as session:
        left = session.execute(select(RemoteFileRow.path, RemoteFileRow.folder_id, RemoteFileRow.state)).all()
    folder = folder_rows(catalog, found.id)[after]
    assert sorted((path, state) for path, of, state in left if of == folder.id) == [(path, "taken") for path in known]
    assert {(of, state) for _, of, state in left if of != folder.id} <= {(None, "gone")}


def test_of_a_folder_that_is_watched_no_more_jobs_and_results_stay_known(catalog: Engine) -> None:
    found = a_connection(catalog, "/a")
    for state in ("settling", "waiting", "taken", "ignored", "result", "gone"):
        a_remote_file(catalog, folder_rows(catalog, found.id)["/a"], f"/a/{state}.mp4", state)
    Connections(catalog).change(OWNER, found.id, wishes("/c"))
    with transaction(catalog) as session:
        left = session.execute(select(RemoteFileRow.path, RemoteFileRow.state, RemoteFileRow.folder_id)).all()
    kept = [("/a/gone.mp4", "gone", None), ("/a/result.mp4", "result", None), ("/a/taken.mp4", "gone", None)]
    assert sorted(tuple(row) for row in left) == kept


def test_folders_are_not_changed_into_those_of_another_connection(catalog: Engine) -> None:
    connections, first, second = Connections(catalog), a_connection(catalog, "/a"), a_connection(catalog, "/b")
    with pytest.raises(Settled, match="/a"):
        connections.change(OWNER, second.id, wishes("/A/deep"))
    connections.disconnect(OWNER, first.id)
    assert connections.change(OWNER, second.id, wishes("/A/deep"))
