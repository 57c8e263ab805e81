"""Uploads in pieces."""

import secrets
from dataclasses import dataclass

from dev.dropbox.errors import conflict


@dataclass
class Session:
    data: bytearray
    closed: bool


class Sessions:
    """Those of one account, each until it is finished."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def start(self, data: bytes, closed: bool) -> str:
        """Returns its id."""
        session_id = f"pid_upload_session:{secrets.token_urlsafe(24)}"
        self._open[session_id] = Session(bytearray(data), closed)
        return session_id

    def find(self, session_id: str, offset: int, *, more: bool, within: str = "") -> Session:
        """The one whose end is at `offset`, to which `more` comes. Raises Refused; `within`: the error of the route."""
        tags = (within,) if within else ()
        session = self._open.get(session_id)
        if session is None:
            raise conflict(*tags, "not_found")
        if offset != len(session.data):
            raise conflict(*tags, "incorrect_offset", correct_offset=len(session.data))
        if session.closed and more:
            raise conflict(*tags, "closed")
        return session

    def end(self, session_id: str) -> None:
        del self._open[session_id]
