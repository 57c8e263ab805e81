"""What the mails say."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from langcodes import Language

from notification.news import News
from pipeline.blobs import BlobMissing, BlobStore
from pipeline.database import now
from pipeline.errors import Unavailable
from pipeline.links import Links
from pipeline.mails import Unsubscribing
from pipeline.work import Artifact

LONGEST_TITLE = 100
LONGEST_EXCERPT = 200
"""Characters."""


class _Unfolded(UnstructuredHeader, BaseHeader):
    """One long word: `email` would encode it to fold it, and then no program knew it any more."""

    def fold(self, *, policy: "Policy[Any]") -> str:
        return f"{self.name}: {self}{policy.linesep}"


_DOMAIN = re.compile(r"[A-Za-z0-9._-]+")
_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _Unfolded)
_POLICY = SMTP.clone(cte_type="7bit", header_factory=_HEADERS)  # every server on the way can carry it
_TEMPLATES = Environment(
    loader=PackageLoader("notification"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_SAID = {
    "job.done": ("Ready: {}", "{} is ready."),
    "job.failed": ("Not finished: {}", "{} could not be finished."),
    "export.ready": ("Export ready: {}", "The export {} is ready."),
    "export.failed": ("Export not finished: {}", "The export {} could not be finished."),
    "connection.broken": ("Not connected any more: {}", "{} is not connected any more."),
}
"""What the subject and the heading of a mail say of each event's title."""


@dataclass(frozen=True)
class Recipient:
    """An address, as its `owner` gave it and as it is read; all mails to it are about that owner's jobs."""

    owner: str
    given: str
    address: Address


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

    def write(
        self, told: Sequence[News], to: Recipient, message_id: str, blobs: BlobStore, *, patiently: bool = True
    ) -> EmailMessage:
        """One mail about all that is told.

        While a transcript cannot be read this raises Unavailable, or, unless `patiently`, does without how it begins.
        """
        message = self._addressed(to, message_id, told)
        unsubscribe = self._url("unsubscribe", Unsubscribing(self.links).sign(to.owner, to.given))
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        common = {"unsubscribe": unsubscribe, "expires": _in_words(now() + timedelta(seconds=self.links.seconds))}
        if len(told) == 1:
            message["Subject"] = _SAID[told[0].event][0].format(_title(told[0]))
            beginning = _excerpt(told[0], blobs, patiently=patiently)
            _fill(message, "mail", common | self._letter(told[0]) | {"excerpt": beginning})
        else:
            message["Subject"] = _subject_of_many(told)
            _fill(message, "digest", common | self._digest(told))
        return message

    def _addressed(self, to: Recipient, message_id: str, told: Sequence[News]) -> EmailMessage:
        message = EmailMessage(policy=_POLICY)
        message["From"], message["To"] = self.sender, to.address
        message["Date"], message["Message-ID"] = now(), message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers this
        for news in told:
            message["Spool-Job"] = news.job_id  # so that programs can sort mails by it
        return message

    def _letter(self, news: News) -> dict[str, object]:
        return {
            "event": news.event,
            "failed": news.failed,
            "title": _title(news),
            "heading": _SAID[news.event][1].format(_title(news)),
            "reason": news.reason,
            "job_id": news.job_id,
            "api": self.public_url.rstrip("/"),
            "downloads": [*self._archive(news), *self._downloads(news.files)],
            "summary": ", ".join(filter(None, (_length(news.seconds), _language(news.artifacts)))),
        }

    def _digest(self, told: Sequence[News]) -> dict[str, object]:
        """Of each job the first sound file and the first transcript: with all files of all jobs no reader would show the mail whole."""
        lines = [
            {"title": _title(news), "reason": news.reason, "failed": news.failed, "job_id": news.job_id}
            | {"downloads": self._downloads(_main_files(news)), "summary": _length(news.seconds)}
            for news in told
        ]
        failed, ready = [line for line in lines if line["failed"]], [line for line in lines if not line["failed"]]
        return {"failed": failed, "ready": ready, "title": _subject_of_many(told), "api": self.public_url.rstrip("/")}

    def _archive(self, news: News) -> list[Download]:
        """Of an export, all its files as one."""
        sizes = [made.facts["bytes"] for made in news.artifacts if "bytes" in made.facts]
        if news.event != "export.ready" or not sizes:
            return []
        url = self._url("links", self.links.sign_job(news.job_id))
        return [Download("All files in one zip", sizes[0], f"{url}/archive")]

    def _downloads(self, files: Iterable[Artifact]) -> list[Download]:
        return [Download(made.name, made.bytes, self._url("links", self.links.sign(made.id))) for made in files]

    def _url(self, kind: str, token: str) -> str:
        return f"{self.public_url.rstrip('/')}/v1/{kind}/{token}"


def message_id(task_id: str, address: str, domain: str) -> str:
    """The same for every attempt, so that a mail which does arrive twice is seen to be one. RFC 5322, 3.6.4."""
    return f"<{task_id}.{hashlib.sha256(address.encode()).hexdigest()[:16]}@{domain}>"


def parse_address(text: str) -> Address:
    """One mail address, its domain a name in ASCII, with or without a name before it. Raises ValueError for anything else."""
    with suppress(Exception):  # the parser stumbles over some of what is no address, `a@` and `:;0` among them
        parsed = SMTP.header_factory("To", text)
        match parsed.addresses:
            case [Address(addr_spec=found, domain=domain) as address] if not parsed.defects:
                if found.isascii() and _DOMAIN.fullmatch(domain):  # encoded words in it are decoded, to a list perhaps
                    return address
    raise ValueError("not a mail address")


def _fill(message: EmailMessage, template: str, words: Mapping[str, object]) -> None:
    # Quoted-printable in every script: what passes by can be read, and searched.
    for subtype, ending, add in (("plain", "txt", message.set_content), ("html", "html", message.add_alternative)):
        text = _TEMPLATES.get_template(f"{template}.{ending}").render(words)
        add(text, subtype=subtype, cte="quoted-printable")


def _title(news: News) -> str:
    return _shortened(_one_line(news.title), LONGEST_TITLE) or "Untitled"


def _subject_of_many(told: Sequence[News]) -> str:
    """Failures first, as in the mail."""
    failed = sum(news.failed for news in told)
    counts = [f"{failed} not finished" if failed else "", f"{len(told) - failed} ready" if failed < len(told) else ""]
    first = next((news for news in told if news.failed), told[0])
    return f"{', '.join(filter(None, counts))}: {_title(first)} and {len(told) - 1} more"


def _main_files(news: News) -> Sequence[Artifact]:
    """The first sound file and the first transcript, the plain one if there is one."""
    audio = [made for made in news.files if made.kind == "audio"]
    transcripts = [made for made in news.files if made.kind == "transcript"]
    transcripts.sort(key=lambda made: not made.name.endswith(".txt"))
    return [*audio[:1], *transcripts[:1]]


def _length(seconds: float | None) -> str:
    """`1 h 02 min`, `3 min 12 s`, `45 s`; empty where it is not known."""
    if seconds is None:
        return ""
    whole = max(1, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def _language(artifacts: Sequence[Artifact]) -> str:
    """Of the newest version of the transcript, in English; empty where it is not known."""
    layers = [made.facts for made in artifacts if made.kind == "layer"]
    newest = max(layers, key=lambda facts: facts.get("version", 0), default={})
    code = newest.get("language")
    if not code:
        return ""
    name = Language.get(code).display_name()
    return f"{name}, translated into English" if newest.get("translated") else name


def _excerpt(news: News, blobs: BlobStore, *, patiently: bool) -> str:
    """How the transcript begins; empty if there is none, and unless `patiently` also while it cannot be read."""
    text = next((made for made in news.artifacts if made.kind == "transcript" and made.name.endswith(".txt")), None)
    if text is None:
        return ""
    try:
        with blobs.open(text.blob) as file:
            beginning = file.read(LONGEST_EXCERPT * 5).decode(errors="ignore")  # a character is 4 bytes at most
    except BlobMissing:
        return ""
    except Unavailable:
        if patiently:
            raise
        return ""
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
