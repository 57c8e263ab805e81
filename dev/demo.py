"""One recording through the running suite, over HTTP like anybody else, shown on the terminal."""

import email
import email.policy
import hashlib
import re
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from dev.embedded import Suite

STAGES = ("upload", "extract", "measure", "encode", "join", "draw", "cut", "transcribe", "merge", "deliver")
_SOMETIMES = ("measure", "join")
"""Stages that only some recordings go through."""
JOB_SECONDS = 6 * 3600
MAIL_SECONDS = 60
POLL_SECONDS = 0.1


class DemoFailed(Exception):
    """The demonstration did not come to its end; the message says why."""


class Demo:
    """`out` is where results are written."""

    def __init__(self, suite: Suite, out: Path, console: Console) -> None:
        self.mails, self.sign_in, self.out, self.console = suite.mails, suite.sign_in, out, console
        self.client = httpx.Client(base_url=suite.url, timeout=httpx.Timeout(30, read=600), trust_env=False)
        self.seconds: dict[str, float] = {}

    def run(self, file: Path) -> None:
        """Raises DemoFailed."""
        self._sign_in()
        self.console.print(f"Signed in as [bold]{self.sign_in.email}[/]")
        with _bars(self.console) as bars:
            shown = {
                stage: bars.add_task(stage, total=100, start=stage == "upload", visible=stage not in _SOMETIMES)
                for stage in STAGES
            }
            job = self._upload(file, bars, shown["upload"])
            job = self._follow(job["id"], bars, shown)
            mail = self._mail(job, bars, shown["deliver"])
        if job["state"] != "done":
            raise DemoFailed(job["reason"] or f"The job is {job['state']}.")
        self._show(job, mail)

    def _sign_in(self) -> None:
        answer = self.client.post("/login", auth=(self.sign_in.email, self.sign_in.password))
        _check(answer)
        self.client.headers["Authorization"] = f"Bearer {answer.text}"

    def _upload(self, file: Path, bars: Progress, bar: TaskID) -> dict[str, Any]:
        began = time.monotonic()
        bars.update(bar, total=file.stat().st_size)
        with bars.open(file, "rb", task_id=bar) as body:
            answer = self.client.post("/upload", files={"file": (file.name, body)})
        _check(answer)
        self.seconds["upload"] = time.monotonic() - began
        job: dict[str, Any] = answer.json()
        return job

    def _follow(self, job_id: str, bars: Progress, shown: dict[str, TaskID]) -> dict[str, Any]:
        for job in self._states(job_id, JOB_SECONDS):
            for stage in job["stages"]:
                _draw(stage, bars, shown[stage["name"]])
            if job["finished_at"]:
                return job
        raise DemoFailed("The job did not end in time.")

    def _states(self, job_id: str, limit: float) -> Iterator[dict[str, Any]]:
        """For `limit` seconds at most."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            answer = self.client.get(f"/v1/jobs/{job_id}")
            if answer.status_code == 401:
                self._sign_in()  # a token is good for a quarter of an hour
                continue
            _check(answer)
            yield answer.json()
            time.sleep(POLL_SECONDS)

    def _mail(self, job: dict[str, Any], bars: Progress, bar: TaskID) -> EmailMessage:
        bars.start_task(bar)
        taken = map(_seconds, self._states(job["id"], MAIL_SECONDS))
        self.seconds |= next((seconds for seconds in taken if "deliver" in seconds), {})
        mail = _find(self.mails, job["id"])
        if mail is None:
            raise DemoFailed(f"No mail arrived in {self.mails}.")
        bars.update(bar, completed=100)
        bars.stop_task(bar)
        return mail

    def _show(self, job: dict[str, Any], mail: EmailMessage) -> None:
        files = [self._save(artifact) for artifact in job["artifacts"] if artifact["kind"] != "original"]
        transcript = next(path for path in files if path.suffix == ".txt").read_text().strip()
        self.console.print(Panel(Text(transcript or "(nobody speaks)"), title=job["title"]))
        self._show_mail(mail, job)
        self.console.print(_table(self.seconds))
        self.console.print("Written: " + ", ".join(str(path) for path in files), soft_wrap=True)

    def _save(self, artifact: dict[str, Any]) -> Path:
        self.out.mkdir(parents=True, exist_ok=True)
        path: Path = self.out / artifact["name"]
        digest = hashlib.sha256()
        with path.open("wb") as file, self.client.stream("GET", "/download", params={"fid": artifact["fid"]}) as answer:
            _check(answer)
            for chunk in answer.iter_bytes():
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != artifact["sha256"]:
            raise DemoFailed(f"{artifact['name']} came with other bytes than it should have.")
        return path

    def _show_mail(self, mail: EmailMessage, job: dict[str, Any]) -> None:
        body = mail.get_body(("plain",))
        text = body.get_content().strip() if body else ""
        head = "\n".join(f"{name}: {mail[name]}" for name in ("From", "To", "Subject"))
        self.console.rule("The mail that was sent")
        self.console.print(Text(f"{head}\n\n{text}"), soft_wrap=True)  # a link that is broken cannot be clicked
        self.console.rule()
        audio = next(artifact for artifact in job["artifacts"] if artifact["kind"] == "audio")
        self.console.print(
            f"[green]✓[/] its link to {audio['name']} opens without a login: {_opens(text, audio['sha256'])} bytes"
        )


def _opens(text: str, sha256: str) -> int:
    """The bytes of the linked file whose hash is `sha256`, fetched like its reader would: with no token."""
    for link in re.findall(r"https?://\S+/v1/links/\S+", text):
        answer = httpx.get(link, timeout=60, trust_env=False)
        if answer.status_code == 200 and hashlib.sha256(answer.content).hexdigest() == sha256:
            return len(answer.content)
    raise DemoFailed("No link of the mail opens the MP3.")


def _seconds(job: dict[str, Any]) -> dict[str, float]:
    """What each stage that has ended took."""
    return {stage["name"]: stage["seconds"] for stage in job["stages"] if stage["seconds"] is not None}


def _find(mails: Path, job_id: str) -> EmailMessage | None:
    for path in sorted(mails.glob("*.eml"), reverse=True):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if isinstance(mail, EmailMessage) and job_id in mail.get_all("Spool-Job", ()):
            return mail
    return None


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        answer.read()
        raise DemoFailed(
            f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:500]}"
        )


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(None),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, expand=True)


def _draw(stage: dict[str, Any], bars: Progress, bar: TaskID) -> None:
    bars.update(bar, visible=True)
    if stage["state"] == "queued":
        return
    if not bars.tasks[bar].started:
        bars.start_task(bar)
    bars.update(bar, completed=stage["percent"])
    if stage["seconds"] is not None:
        bars.stop_task(bar)


def _table(seconds: dict[str, float]) -> Table:
    table = Table("stage", "seconds", title="How long each stage took")
    table.columns[1].justify = "right"
    for stage in STAGES:
        if stage in seconds:
            table.add_row(stage, f"{seconds[stage]:.2f}")
    return table
