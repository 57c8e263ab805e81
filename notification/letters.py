"""What the mails say."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from pipeline.blobs import BlobStore
from pipeline.database import now
from pipeline.links import Links
from pipeline.work import Artifact, Task

LINKED = ("audio", "transcript")
LONGEST_TITLE = 100
LONGEST_EXCERPT = 200
"""Characters."""

_POLICY = SMTP.clone(cte_type="7bit")  # every server on the way can carry it
_TEMPLATES = Environment(
    loader=PackageLoader("notification"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Download:
    """A line of a mail: a file, and the link that opens it."""

    name: str
    bytes: int
    url: str


@dataclass(frozen=True)
class Letters:
    """Writes mails from `sender`, with links that begin with `public_url`."""

    links: Links
    public_url: str
    sender: Address

    def write(self, task: Task, address: Address, message_id: str, blobs: BlobStore) -> EmailMessage:
        """Raises Unavailable or BlobMissing when the transcript cannot be read."""
        # Letters from before they knew what they tell have it of the job.
        outcome = {"state": task.job_state, "reason": task.job_reason, **task.args}
        done, title = outcome["state"] == "done", _shortened(_one_line(task.title), LONGEST_TITLE)
        words = {
            "done": done,
            "title": title,
            "reason": outcome["reason"],
            "job_id": task.job_id,
            "downloads": self._downloads(task),
            "expires": _in_words(now() + timedelta(seconds=self.links.seconds)),
            "excerpt": _excerpt(task, blobs),
        }
        message = self._addressed(address, message_id, task.job_id)
        message["Subject"] = f"{'Ready' if done else 'Not finished'}: {title}"
        _fill(message, words)
        return message

    def _addressed(self, address: Address, message_id: str, job_id: str) -> EmailMessage:
        message = EmailMessage(policy=_POLICY)
        message["From"], message["To"] = self.sender, address
        message["Date"], message["Message-ID"] = now(), message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers this
        message["Spool-Job"] = job_id  # so that programs can sort mails by it
        return message

    def _downloads(self, task: Task) -> list[Download]:
        linked = [artifact for kind in LINKED for artifact in task.artifacts if artifact.kind == kind]
        return [Download(made.name, made.bytes, self._url(made)) for made in linked]

    def _url(self, made: Artifact) -> str:
        return f"{self.public_url.rstrip('/')}/v1/links/{self.links.sign(made.id)}"


def message_id(task_id: str, address: str, domain: str) -> str:
    """The same for every attempt, so that a mail which does arrive twice is seen to be one. RFC 5322, 3.6.4."""
    return f"<{task_id}.{hashlib.sha256(address.encode()).hexdigest()[:16]}@{domain}>"


def parse_address(text: str) -> Address:
    """One mail address in ASCII, with or without a name before it. Raises ValueError for anything else."""
    with suppress(IndexError):  # the parser's own, for what ends at the @
        parsed = SMTP.header_factory("To", text)
        match parsed.addresses:
            case [Address() as address] if not parsed.defects and address.addr_spec.isascii():
                return address
    raise ValueError("not a mail address")


def _fill(message: EmailMessage, words: dict[str, object]) -> None:
    # Quoted-printable in every script: what passes by can be read, and searched.
    for subtype, add in (("plain", message.set_content), ("html", message.add_alternative)):
        template = _TEMPLATES.get_template("mail.txt" if subtype == "plain" else "mail.html")
        add(template.render(words), subtype=subtype, cte="quoted-printable")


def _excerpt(task: Task, blobs: BlobStore) -> str:
    """How the transcript begins; empty if there is none."""
    text = next((made for made in task.artifacts if made.kind == "transcript" and made.name.endswith(".txt")), None)
    if text is None:
        return ""
    with blobs.open(text.blob) as file:
        beginning = file.read(LONGEST_EXCERPT * 5).decode(errors="ignore")  # a character is 4 bytes at most
    return _shortened(_one_line(beginning), LONGEST_EXCERPT)


def _one_line(text: str) -> str:
    """Without line breaks, which end a header, and other characters that nobody sees."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return (text[:longest].rpartition(" ")[0] or text[:longest]) + " …"


def _in_words(time: datetime) -> str:
    return f"{time.day} {time:%B %Y, %H:%M} UTC"
