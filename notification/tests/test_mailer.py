"""The contract of both mailers, and what SMTP alone has."""

import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword

from dev.mail.faults import Fault
from dev.mail.server import MailServer, parsed, text_of
from dev.waiting import eventually
from notification.mailer import FolderMailer, NotNow, Permanent, SmtpMailer, Temporary, Unclear, mailer
from notification.smtp import Pool, Server

Received = Callable[[], list[EmailMessage]]


def a_message(subject: str = "Grüße") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "Spool <spool@example.org>", "ada@example.org", subject
    message.set_content("One\n.\n..two\nÜber 🎬\n", cte="quoted-printable")
    return message


def nothing() -> None:
    pass


@pytest.fixture
def smtp(server: MailServer) -> Iterator[SmtpMailer]:
    made = mailer(server.url)
    assert isinstance(made, SmtpMailer)
    yield made
    made.pool.close()


def impatient(smtp: SmtpMailer, **server: Any) -> SmtpMailer:
    return SmtpMailer(Pool(replace(smtp.pool.server, **server)))


@pytest.fixture(params=["smtp", "file"])
def either(
    request: pytest.FixtureRequest, server: MailServer, tmp_path: Path
) -> tuple[SmtpMailer | FolderMailer, Received]:
    if request.param == "smtp":
        return request.getfixturevalue("smtp"), lambda: server.mails
    folder = tmp_path / "mails of today"
    made = mailer(folder.as_uri())
    assert isinstance(made, FolderMailer)
    return made, lambda: [parsed(path.read_bytes()) for path in sorted(folder.glob("*.eml"))]


def test_a_mail_arrives_as_it_was_written(either: tuple[SmtpMailer | FolderMailer, Received]) -> None:
    post, received = either
    post.send(a_message(), nothing)
    (mail,) = received()
    assert (mail["Subject"], mail["To"], mail["From"]) == ("Grüße", "ada@example.org", "Spool <spool@example.org>")
    assert text_of(mail) == "One\n.\n..two\nÜber 🎬\n"


def test_mails_arrive_in_order(either: tuple[SmtpMailer | FolderMailer, Received]) -> None:
    post, received = either
    for number in range(5):
        post.send(a_message(str(number)), nothing)
    assert [mail["Subject"] for mail in received()] == ["0", "1", "2", "3", "4"]


def test_before_data_is_called_once_and_before_the_mail_is_there(
    either: tuple[SmtpMailer | FolderMailer, Received],
) -> None:
    post, received = either
    seen: list[int] = []
    post.send(a_message(), lambda: seen.append(len(received())))
    assert seen == [0]


def test_a_mail_stays_here_if_before_data_raises(either: tuple[SmtpMailer | FolderMailer, Received]) -> None:
    post, received = either

    def stop() -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        post.send(a_message(), stop)
    assert received() == []


def unreachable(kind: str, tmp_path: Path, port: int) -> str:
    (tmp_path / "file").touch()
    return {"smtp": f"smtp://127.0.0.1:{port}", "file": f"file://{tmp_path}/file/folder"}[kind]


@pytest.mark.parametrize("kind", ["smtp", "file"])
def test_what_cannot_be_reached_is_temporary_and_nothing_has_begun(kind: str, tmp_path: Path) -> None:
    begun: list[bool] = []
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        url = unreachable(kind, tmp_path, bound_but_not_listening.getsockname()[1])
        with pytest.raises(Temporary):
            mailer(url).send(a_message(), lambda: begun.append(True))
    assert begun == []


def test_mail_files_are_for_their_owner_and_nothing_else_is_left(tmp_path: Path) -> None:
    FolderMailer(tmp_path / "mails").send(a_message(), nothing)
    (path,) = (tmp_path / "mails").iterdir()
    assert path.suffix == ".eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_server_that_never_greets_is_temporary(smtp: SmtpMailer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Temporary):
        impatient(smtp, port=silent.getsockname()[1], seconds=0.2).send(a_message(), nothing)


@pytest.mark.parametrize(
    ("step", "limit", "error"),
    [
        ("EHLO", "seconds", Temporary),
        ("MAIL", "seconds", Temporary),
        ("RCPT", "seconds", Temporary),
        ("DATA", "data_seconds", Temporary),
        ("END", "end_seconds", Unclear),
    ],
)
def test_a_server_that_says_nothing_any_more_is_given_up(
    smtp: SmtpMailer, server: MailServer, step: str, limit: str, error: type[Exception]
) -> None:
    """By the limit of its step: by the others it would not be before the server goes on."""
    server.faults = [Fault.parse(f"{step} hang")]
    limits = {"seconds": 300, "data_seconds": 300, "end_seconds": 300, limit: 2}
    with pytest.raises(error):
        impatient(smtp, **limits).send(a_message(), nothing)
    server.going_on.set()


def test_a_server_has_as_long_for_a_message_as_clients_have_to_give_it() -> None:
    server = Server("mail.example.org")
    assert (server.data_seconds, server.end_seconds) == (180, 600)  # RFC 5321, sections 4.5.3.2.5 and 4.5.3.2.6


def test_the_time_for_a_message_is_not_that_for_what_follows(smtp: SmtpMailer, server: MailServer) -> None:
    made = impatient(smtp, seconds=2, data_seconds=300, end_seconds=300)
    made.send(a_message(), nothing)
    server.faults = [Fault.parse("RSET hang")]
    made.send(a_message(), nothing)
    assert len(server.conversations) == 2
    server.going_on.set()


class _Unwritable(EmailMessage):
    def as_bytes(self, *_: Any, **__: Any) -> bytes:
        raise UnicodeError


def test_what_cannot_be_written_down_is_not_begun(either: tuple[SmtpMailer | FolderMailer, Received]) -> None:
    begun: list[bool] = []
    message = _Unwritable(policy=SMTP)
    message["From"], message["To"] = "spool@example.org", "ada@example.org"
    with pytest.raises(UnicodeError):
        either[0].send(message, lambda: begun.append(True))
    assert begun == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("CONNECT 421 4.3.2 too busy", Temporary),
        ("MAIL 451 4.3.0 later", Temporary),
        ("MAIL 530 5.7.0 authentication required", Temporary),
        ("MAIL 550 5.7.1 not you", Permanent),
        ("RCPT 450 4.1.2 Domain not found", NotNow),
        ("RCPT 451 4.7.1 greylisted", NotNow),
        ("RCPT 421 4.3.2 closing", Temporary),
        ("RCPT 550 5.1.1 nobody", Permanent),
        ("DATA 451 4.3.0 later", Temporary),
        ("DATA 554 5.6.0 no", Permanent),
        ("DATA 250 what", Temporary),
        ("END 452 4.3.1 full", Temporary),
        ("END 554 5.6.0 no", Permanent),
        ("END well, yes", Unclear),
        ("MAIL cut", Temporary),
        ("RCPT cut", Temporary),
        ("DATA cut", Temporary),
        ("END cut", Unclear),
    ],
)
def test_answers_are_told_apart_and_the_next_mail_goes_out(
    smtp: SmtpMailer, server: MailServer, fault: str, error: type[Exception]
) -> None:
    server.faults = [Fault.parse(fault)]
    with pytest.raises(error) as caught:
        smtp.send(a_message(), nothing)
    assert caught.type is error
    server.mails.clear()
    smtp.send(a_message(), nothing)
    assert len(server.mails) == 1


def test_one_connection_takes_many_mails(smtp: SmtpMailer, server: MailServer) -> None:
    for _ in range(5):
        smtp.send(a_message(), nothing)
    assert (len(server.mails), len(server.conversations)) == (5, 1)


def test_what_was_begun_and_not_ended_is_forgotten_before_the_next_mail(smtp: SmtpMailer, server: MailServer) -> None:
    server.faults = [Fault.parse("RCPT 550 5.1.1 nobody")]
    with pytest.raises(Permanent):
        smtp.send(a_message(), nothing)
    smtp.send(a_message(), nothing)
    assert (len(server.mails), len(server.conversations)) == (1, 1)


@pytest.mark.parametrize("fault", ["RSET cut", "RSET 421 4.3.2 closing"])
def test_a_connection_that_does_not_stand_any_more_is_replaced(
    smtp: SmtpMailer, server: MailServer, fault: str
) -> None:
    smtp.send(a_message(), nothing)
    server.faults = [Fault.parse(fault)]
    smtp.send(a_message(), nothing)
    assert (len(server.mails), len(server.conversations)) == (2, 2)


def test_a_server_that_was_started_again_is_connected_to_again(smtp: SmtpMailer, server: MailServer) -> None:
    smtp.send(a_message(), nothing)
    server.stop()
    server.start()
    smtp.send(a_message(), nothing)
    assert (len(server.mails), len(server.conversations)) == (2, 2)


def test_an_idle_connection_ends(smtp: SmtpMailer, server: MailServer) -> None:
    made = SmtpMailer(Pool(smtp.pool.server, idle=0.05))
    made.send(a_message(), nothing)
    eventually(lambda: not server.open)
    made.send(a_message(), nothing)
    assert len(server.conversations) == 2


def test_connections_end_with_their_pool(smtp: SmtpMailer, server: MailServer) -> None:
    made = SmtpMailer(Pool(smtp.pool.server))
    made.send(a_message(), nothing)
    assert server.open
    del made
    eventually(lambda: not server.open)


def test_mails_that_go_out_at_the_same_time_have_connections_of_their_own(smtp: SmtpMailer, server: MailServer) -> None:
    server.at_rcpt = 3
    for _ in range(2):
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda number: smtp.send(a_message(str(number)), nothing), range(3)))
    assert sorted(mail["Subject"] for mail in server.mails) == sorted("012" * 2)
    assert len(server.conversations) == 3


def test_a_password_is_decoded_and_accepted() -> None:
    def check(_server: object, _session: object, _envelope: object, _kind: str, given: LoginPassword) -> AuthResult:
        right = (given.login, given.password) == (b"ada@example.org", b"p/w:d %")
        return AuthResult(success=right, handled=False)

    with MailServer(authenticator=check, auth_require_tls=False) as server:
        mailer(f"smtp://ada%40example.org:p%2Fw%3Ad%20%25@127.0.0.1:{server.port}").send(a_message(), nothing)
        assert len(server.mails) == 1
        with pytest.raises(Temporary):
            mailer(f"smtp://ada%40example.org:wrong@127.0.0.1:{server.port}").send(a_message(), nothing)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["starttls", "implicit"])
def encrypted(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[tuple[str, MailServer]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    implicit = request.param == "implicit"
    options = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
    with MailServer(**options) as server:
        address = f"127.0.0.1:{server.port}"
        yield f"smtps://{address}" if implicit else f"smtp://{address}?tls=starttls", server


def test_mail_goes_encrypted_to_a_server_that_can_be_trusted(
    encrypted: tuple[str, MailServer], authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, server = encrypted
    with authority.cert_pem.tempfile() as trusted:
        monkeypatch.setenv("SSL_CERT_FILE", trusted)
        made = mailer(url)
        for _ in range(2):
            made.send(a_message(), nothing)
    assert len(server.mails) == 2
    assert server.conversations[-1] == "tls"


def test_no_mail_goes_to_a_server_that_cannot_be_trusted(encrypted: tuple[str, MailServer]) -> None:
    url, server = encrypted
    with pytest.raises(Temporary, match="certificate"):
        mailer(url).send(a_message(), nothing)
    assert server.mails == []


def test_no_mail_goes_unencrypted_where_encryption_was_asked_for(server: MailServer) -> None:
    with pytest.raises(Temporary, match="STARTTLS"):
        mailer(f"{server.url}?tls=starttls").send(a_message(), nothing)
    assert server.mails == []


@pytest.mark.parametrize(
    "url", ["", "http://h", "smtp://", "smtp://h?tls=maybe", "smtps://h?tls=starttls", "smtp://h:99999", "file://"]
)
def test_an_address_of_no_known_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"a mail server is|no host"):
        mailer(url)


def test_a_password_never_stands_in_a_complaint() -> None:
    with pytest.raises(ValueError, match="percent-encoded") as caught:
        mailer("smtp://ada:top/secret@mail.example.org")
    assert "top" not in str(caught.value)
    assert caught.value.__context__ is None
    assert "secret" not in repr(mailer("smtp://ada:secret@mail.example.org"))
