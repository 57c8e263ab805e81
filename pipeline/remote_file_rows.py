"""Rows of files in watched folders, in whoever's transaction it is."""

from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.orm import Session

from pipeline.catalog import RemoteFileRow

_IN_PLACE = {"synchronize_session": False}


def forget(session: Session, *which: ColumnElement[bool]) -> None:
    """Files that became jobs stay known, because they may come back. So do our results, wherever they are."""
    session.flush()
    unfinished = RemoteFileRow.state.in_(("settling", "waiting", "ignored"))
    session.execute(delete(RemoteFileRow).where(*which, unfinished), execution_options=_IN_PLACE)
    taken = update(RemoteFileRow).where(*which, RemoteFileRow.state == "taken").values(state="gone")
    session.execute(taken, execution_options=_IN_PLACE)
