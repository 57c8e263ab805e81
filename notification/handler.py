"""Sends one mail per job and address about how the job ended; one mail may tell of many."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import structlog
from prometheus_client import Counter

from notification.bursts import Bursts
from notification.ledger import Ledger, MailEntry
from notification.letters import Letters, Recipient, message_id, parse_address
from notification.mailer import Mailer, NotNow, Permanent, Temporary, Unclear
from notification.news import News
from pipeline.blobs import BlobStore
from pipeline.errors import Reject, Retry
from pipeline.mails import Choice, Mails
from pipeline.work import Progress, Result, Task

log = structlog.get_logger()
MAILS = Counter("spool_mails_total", "Mails, by what came of them", ("outcome",))
REFUSED = "The mail server refused to take the mail to this address."
LOOK = 60.0
"""Seconds between two looks of a mail that waits for others, if it is the oldest of them; the second waits twice as long, and so on:
many that wait cost little more than one, and if one goes without a word, as its job does, the next has soon seen it."""
FIRST_DELAY, LONGEST_DELAY = 60.0, 4 * 3600.0
"""Seconds between tries of an address that the server does not take now: each twice the one before, so that a domain which is not
there costs a dozen tries until `Settings.patience_seconds` are over."""


@dataclass(frozen=True)
class Post:
    """What mails are written, recorded and sent with."""

    ledger: Ledger
    mails: Mails
    bursts: Bursts
    letters: Letters
    mailer: Mailer


def deliver(task: Task, blobs: BlobStore, _folder: Path, progress: Progress, *, post: Post) -> Result:
    """Never sends a second mail: where it is not known whether the first arrived, it stays at that.

    Raises Retry while the server cannot take the mail, Reject if it refuses to.
    """
    given = str(task.args["address"])
    address = _address(given)
    entry = post.ledger.begin(task, given, message_id(task.id, given, post.letters.sender.domain))
    if entry.is_led:
        return _follow(post.ledger, entry)
    if entry.has_ended:  # whoever recorded that may not have come so far
        post.ledger.wake(entry)
    match entry.state:
        case "new":
            return _send_or_wait(task, Recipient(task.owner, given, address), entry, blobs, progress, post)
        case "sending":
            _unclear(post.ledger, entry, "an earlier attempt ended before the server answered")
        case "refused":
            raise Reject(REFUSED)
    return Result()


def _address(text: str) -> Address:
    """What the record and the choice of its owner are about must be what the mail goes to."""
    with suppress(ValueError):
        address = parse_address(text)
        if address.addr_spec == text:
            return address
    raise Reject("This is not an address that mail can be sent to.")


def _follow(ledger: Ledger, entry: MailEntry) -> Result:
    """Another mail tells of this job: what became of that one became of this. One that will never go out is for others to send."""
    leader = ledger.leader(entry)
    match entry.state:
        case "refused":
            raise Reject(REFUSED)
        case "new" | "sending" if not leader.has_ended:
            return Result(again=_look(ledger, entry))
        case "new" if leader.state == "failed":
            raise Reject(leader.reason or REFUSED)
        case "new":
            ledger.release(entry)
            return Result(again=0)
        case "sending":
            _unclear(ledger, entry, "the attempt at the mail that tells of it was called off")
    return Result()


def _send_or_wait(
    task: Task, recipient: Recipient, entry: MailEntry, blobs: BlobStore, progress: Progress, post: Post
) -> Result:
    choice = post.mails.choice(task.owner)
    if not _is_wanted(task, recipient, choice, post.mails):
        post.ledger.unwanted(entry)
        _ended(post.ledger, entry, "unwanted")
        return Result()
    burst = post.bursts.of(task, choice)
    left = post.bursts.left(entry.created_at)
    if burst.is_open and left > 0:
        return Result(again=min(left, _look(post.ledger, entry)))
    told: Sequence[News] = [News.of(task)]
    if burst.is_one or entry.digest_id:
        name = partial(message_id, address=recipient.given, domain=post.letters.sender.domain)
        told = post.ledger.gather(entry, task.owner, recipient.given, name, failures=choice == "failures")
        if not told:
            return Result(again=0)
    message = post.letters.write(told, recipient, entry.message_id, blobs, patiently=not task.failures)
    _send(post, message, entry, progress)
    return Result()


def _look(ledger: Ledger, entry: MailEntry) -> float:
    return LOOK * (1 + ledger.ahead(entry))


def _is_wanted(task: Task, recipient: Recipient, choice: Choice, mails: Mails) -> bool:
    by_choice = choice != "none" and (choice != "failures" or News.of(task).failed)
    return by_choice and not mails.has_unsubscribed(task.owner, recipient.given)


def _send(post: Post, message: EmailMessage, entry: MailEntry, progress: Progress) -> None:
    ledger = post.ledger

    def before_data() -> None:
        progress(0)
        if not ledger.sending(entry):
            raise Retry("Another worker is sending this mail.")

    try:
        post.mailer.send(message, before_data)
    except Temporary as error:
        ledger.not_sent(entry)
        log.warning("mail not sent yet", message_id=entry.message_id, cause=str(error))
        raise _later(error, ledger, entry) from error
    except Permanent as error:
        ledger.refused(entry)
        _ended(ledger, entry, "refused")
        log.warning("mail refused", message_id=entry.message_id, cause=str(error))
        raise Reject(REFUSED) from error
    except Unclear as error:
        _unclear(ledger, entry, str(error))
    else:
        ledger.sent(entry)
        _ended(ledger, entry, "sent")
        log.info("mail sent", message_id=entry.message_id, letters=entry.letters)


def _later(error: Temporary, ledger: Ledger, entry: MailEntry) -> Retry:
    """A server that is away is asked again soon, for an address that it does not take now it is asked more and more seldom."""
    if isinstance(error, NotNow):
        delay = min(FIRST_DELAY * 2.0 ** min(entry.deferrals, 30), LONGEST_DELAY)
        ledger.deferred(entry)
        return Retry("The mail server does not take mail to this address now.", delay)
    return Retry("The mail server cannot take the mail now.")


def _unclear(ledger: Ledger, entry: MailEntry, cause: str) -> None:
    if ledger.unclear(entry):
        MAILS.labels("unclear").inc()
    ledger.wake(entry)
    log.error("mail may have been lost; it is not sent again", message_id=entry.message_id, cause=cause)


def _ended(ledger: Ledger, entry: MailEntry, outcome: str) -> None:
    MAILS.labels(outcome).inc()
    ledger.wake(entry)
