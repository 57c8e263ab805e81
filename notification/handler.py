"""Sends one mail per job and address about how the job ended."""

from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

import structlog

from notification.ledger import Ledger, MailEntry
from notification.letters import Letters, message_id, parse_address
from notification.mailer import Mailer, Permanent, Temporary, Unclear
from pipeline.blobs import BlobStore
from pipeline.errors import Reject, Retry
from pipeline.work import Progress, Result, Task

log = structlog.get_logger()
REFUSED = "The mail server refused to take the mail to this address."


def deliver(
    task: Task, blobs: BlobStore, _folder: Path, progress: Progress, *, ledger: Ledger, mailer: Mailer, letters: Letters
) -> Result:
    """Never sends a second mail: where it is not known whether the first arrived, it stays at that.

    Raises Retry while the server cannot take the mail, Reject if it refuses to.
    """
    given = str(task.args["address"])
    address = _address(given)
    entry = ledger.begin(task, given, message_id(task.id, given, letters.sender.domain))
    match entry.state:
        case "new":
            message = letters.write(task, address, entry.message_id, blobs)
            _send(mailer, message, ledger, entry, progress)
        case "sending":
            _unclear(ledger, entry, "an earlier attempt ended before the server answered")
        case "refused":
            raise Reject(REFUSED)
    return Result()


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise Reject("This is not an address that mail can be sent to.") from error


def _send(mailer: Mailer, message: EmailMessage, ledger: Ledger, entry: MailEntry, progress: Progress) -> None:
    def before_data() -> None:
        progress(0)
        if not ledger.sending(entry):
            raise Retry("Another worker is sending this mail.")

    try:
        mailer.send(message, before_data)
    except Temporary as error:
        ledger.not_sent(entry)
        log.warning("mail not sent yet", message_id=entry.message_id, cause=str(error))
        raise Retry("The mail server cannot take the mail now.") from error
    except Permanent as error:
        ledger.refused(entry)
        log.warning("mail refused", message_id=entry.message_id, cause=str(error))
        raise Reject(REFUSED) from error
    except Unclear as error:
        _unclear(ledger, entry, str(error))
    else:
        ledger.sent(entry)
        log.info("mail sent", message_id=entry.message_id)


def _unclear(ledger: Ledger, entry: MailEntry, cause: str) -> None:
    ledger.unclear(entry)
    log.error("mail may have been lost; it is not sent again", message_id=entry.message_id, cause=cause)
