"""`python -m dev dropbox`: the stand-in at a terminal."""

from pathlib import Path
from tempfile import TemporaryDirectory

from dev.dropbox.faults import FAULTS
from dev.dropbox.server import serving
from dev.dropbox.stand_in import DropboxStandIn
from pipeline.wiring import stay, stop_on_signals


def run(port: int, webhook: str | None) -> None:
    """Runs the stand-in until a signal, and says how to use it. Raises ValueError if the webhook is not one."""
    stop = stop_on_signals()
    stand_in = DropboxStandIn()
    with TemporaryDirectory(prefix="dropbox-") as folder, serving(stand_in, Path(folder), port) as url:
        if webhook:
            stand_in.call_webhook(webhook)
        print(_told(stand_in, url), flush=True)
        stay(stop)


def _told(stand_in: DropboxStandIn, url: str) -> str:
    settings = {"SPOOL_DROPBOX_APP_KEY": stand_in.app.key, "SPOOL_DROPBOX_APP_SECRET": stand_in.app.secret}
    variables = "".join(f"  export {name}={value}\n" for name, value in {**stand_in.environment, **settings}.items())
    curl = f"curl --cacert {stand_in.authority}"
    return f"""Dropbox's stand-in is running at {url}, with the Dropbox of {stand_in.account.email}

{variables}
Its files (GET lists and reads them, DELETE deletes them):
  {curl} -T talk.mp4 {url}/admin/files/Recordings/
  {curl} {url}/admin/files
Faults for the next calls, one each ({" ".join(FAULTS)}):
  {curl} -d '["429", "cut"]' {url}/admin/faults
Calls and bytes so far:
  {curl} {url}/admin/calls
Ctrl-C stops it."""
