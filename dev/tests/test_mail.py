"""The mail server that tests stand on."""

import asyncio
import smtplib
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.mail.faults import Fault
from dev.mail.server import MailServer

MAIL = b"From: a@b.org\r\nTo: c@d.org\r\nSubject: Hello\r\n\r\nHi\r\n"


def send(server: MailServer) -> int:
    """The code of the answer that ended it; 0 where none came."""
    try:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as smtp:
            smtp.sendmail("a@b.org", ["c@d.org"], MAIL)
    except smtplib.SMTPRecipientsRefused as refused:
        return refused.recipients["c@d.org"][0]
    except smtplib.SMTPResponseException as answered:
        return answered.smtp_code
    except OSError:
        return 0
    return 250


@pytest.mark.parametrize(
    ("fault", "code", "kept"),
    [
        ("CONNECT 421 4.3.2 too busy", 421, 0),
        ("CONNECT cut", 0, 0),
        ("EHLO cut", 0, 0),
        ("MAIL 451 4.3.0 later", 451, 0),
        ("RCPT 550 5.1.1 nobody", 550, 0),
        ("DATA 554 5.6.0 no", 554, 0),
        ("DATA cut", 0, 0),
        ("END 452 4.3.1 full", 452, 0),
        ("END cut", 0, 1),
    ],
)
def test_a_fault_happens_once_where_it_is_to_happen(fault: str, code: int, kept: int) -> None:
    with MailServer() as server:
        server.faults = [Fault.parse(fault)]
        assert (send(server), len(server.mails)) == (code, kept)
        assert server.happened == [Fault.parse(fault)]
        assert send(server) == 250
        assert server.mails[-1]["Subject"] == "Hello"


def test_a_domain_has_answers_of_its_own() -> None:
    with MailServer() as server:
        server.domains = {"d.org": "450 4.1.2 Domain not found"}
        assert (send(server), send(server), server.mails) == (450, 450, [])


def test_it_is_found_on_its_port_again() -> None:
    with MailServer() as server:
        server.stop()
        assert send(server) == 0
        server.start()
        assert send(server) == 250


def test_it_leaves_no_event_loop_with_whoever_starts_it() -> None:
    """Nobody would close that one."""

    def loop_after_a_server() -> asyncio.AbstractEventLoop:
        with MailServer():
            pass
        return asyncio.get_event_loop()

    with ThreadPoolExecutor(1) as thread, pytest.raises(RuntimeError, match="no current event loop"):
        thread.submit(loop_after_a_server).result(60)


@pytest.mark.parametrize("text", ["", "RCPT", "HELP 450 no", "cut"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a fault is"):
        Fault.parse(text)
