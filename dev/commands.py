"""`up` and `demo`: the embedded suite at a terminal."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from dev.demo import Demo, DemoFailed
from dev.embedded import EmbeddedSettings, Suite, running
from pipeline import telemetry
from pipeline.settings import Settings
from pipeline.wiring import stay, stop_on_signals

OUT = Path("out")


def up() -> None:
    """Runs the suite until a signal, and says how to use it."""
    stop, settings = stop_on_signals(), Settings.load()
    telemetry.configure(settings.log_format, "suite")
    with running(EmbeddedSettings(), settings) as suite:
        _introduce(suite)
        stay(stop)
        print("\nStopping; what is in work goes on at the next start.")
    _leave(0)


def demo(file: Path, keep: bool) -> None:
    """Sends `file` through the suite; ends with status 1 and the reason if that does not work out."""
    embedded = EmbeddedSettings()
    embedded.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (embedded.data / "demo.log").open("w") as log:
        telemetry.configure("text", "suite", log)
        with running(embedded, Settings.load()) as suite:
            status = _demonstrate(suite, file)
            stop = stop_on_signals()  # a second Ctrl-C does not break into the end
            if keep and not status:
                _introduce(suite)
                stay(stop)
    _leave(status)


def _demonstrate(suite: Suite, file: Path) -> int:
    """Returns the status to end with."""
    console = Console()
    try:
        Demo(suite, OUT, console).run(file)
    except DemoFailed as error:
        console.print(f"[red]✗[/] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; the recording goes on at the next start.")
        return 130
    return 0


def _leave(status: int) -> NoReturn:
    """Ends the process as it is: a model that is still at work would crash while Python takes itself apart."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _introduce(suite: Suite) -> None:
    host, user = suite.url, suite.sign_in
    print(
        f"""
Spool is running at {host}        (its API: {host}/v1/docs)
Sign in as {user.email} with {user.password}        (kept in {suite.folder / "sign-in"})

  T=$(curl -sS -X POST {host}/login -u '{user.email}:{user.password}')
  curl -sS -X POST -F 'file=@x.mp4' -H "Authorization: Bearer $T" {host}/upload
  curl -sS -OJ -H "Authorization: Bearer $T" '{host}/download?fid=ID'

Mails are kept in {suite.mails}
Ctrl-C stops it.""",
        flush=True,
    )
