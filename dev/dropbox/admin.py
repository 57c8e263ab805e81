"""What a terminal may do with a running stand-in: the owner's files, faults and counters."""

import json
from typing import Any

from dev.dropbox.errors import Refused
from dev.dropbox.faults import FAULTS
from dev.dropbox.stand_in import DropboxStandIn


def answer(stand_in: DropboxStandIn, command: str, path: str, body: bytes) -> Any:
    """Something that becomes JSON, or a file. Raises Refused."""
    match command, path:
        case "GET", "/calls":
            return {"calls": stand_in.calls, "downloaded": stand_in.downloaded, "uploaded": stand_in.uploaded}
        case "POST", "/faults":
            return _fail(stand_in, json.loads(body))
        case "GET", "/files":
            return stand_in.account.files()
    if not path.startswith("/files/"):
        raise Refused(404, "Not found")
    return _file(stand_in, command, path.removeprefix("/files"), body)


def _fail(stand_in: DropboxStandIn, names: list[str]) -> Any:
    if unknown := set(names) - FAULTS.keys():
        raise Refused(400, f"There are no faults named {sorted(unknown)}")
    stand_in.fail(*names)
    return {"faults": stand_in.faults_left}


def _file(stand_in: DropboxStandIn, command: str, path: str, body: bytes) -> Any:
    account = stand_in.account
    try:
        match command:
            case "PUT":
                return account.put(path, body).metadata()
            case "DELETE":
                return account.delete(path).metadata()
            case "GET":
                return account.file(path)
    except KeyError:
        raise Refused(404, f"There is no {path}") from None
    raise Refused(405, f"Files cannot be {command}")
