"""The contract of both mailers, and what SMTP alone has."""

import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notification.mailer import FolderMailer, Permanent, SmtpMailer, Temporary, Unclear, mailer
from notification.tests.postbox import Postbox, parsed, server_context, text_of
from pipeline.database import now

Received = Callable[[], list[EmailMessage]]


def a_message(subject: str = "Grüße") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "Spool <spool@example.org>", "ada@example.org", subject
    message.set_content("One\n.\n..two\nÜber 🎬\n", cte="quoted-printable")
    return message


def nothing() -> None:
    pass


@pytest.fixture
def smtp(serve: Callable[..., int]) -> SmtpMailer:
    made = mailer(f"smtp://127.0.0.1:{serve()}")
    assert isinstance(made, SmtpMailer)
    return made


@pytest.fixture(params=["smtp", "file"])
def either(
    request: pytest.FixtureRequest, postbox: Postbox, tmp_path: Path
) -> tuple[SmtpMailer | FolderMailer, Received]:
    if request.param == "smtp":
        return request.getfixturevalue("smtp"), lambda: postbox.mails
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
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deaf = replace(smtp, port=silent.getsockname()[1], seconds=0.2)
        with pytest.raises(Temporary):
            deaf.send(a_message(), nothing)


def test_a_server_that_never_answers_the_message_is_unclear(smtp: SmtpMailer, postbox: Postbox) -> None:
    postbox.answering.clear()
    with pytest.raises(Unclear):
        replace(smtp, seconds=5).send(a_message(), nothing)
    postbox.answering.set()


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("MAIL", "451 4.3.0 later", Temporary),
        ("MAIL", "530 5.7.0 authentication required", Temporary),
        ("RCPT", "450 4.2.1 later", Temporary),
        ("RCPT", "421 4.3.2 closing", Temporary),
        ("RCPT", "550 5.1.1 nobody", Permanent),
        ("DATA", "452 4.3.1 full", Temporary),
        ("DATA", "554 5.6.0 no", Permanent),
        ("DATA", "well, yes", Unclear),
    ],
)
def test_answers_are_told_apart(
    smtp: SmtpMailer, postbox: Postbox, step: str, answer: str, error: type[Exception]
) -> None:
    postbox.answers = {step: answer}
    with pytest.raises(error, match=answer[4:]):
        smtp.send(a_message(), nothing)


def test_a_password_is_decoded_and_accepted(serve: Callable[..., int], postbox: Postbox) -> None:
    def check(_server: object, _session: object, _envelope: object, _kind: str, given: LoginPassword) -> AuthResult:
        right = (given.login, given.password) == (b"ada@example.org", b"p/w:d %")
        return AuthResult(success=right, handled=False)

    port = serve(authenticator=check, auth_require_tls=False)
    mailer(f"smtp://ada%40example.org:p%2Fw%3Ad%20%25@127.0.0.1:{port}").send(a_message(), nothing)
    assert len(postbox.mails) == 1
    with pytest.raises(Temporary):
        mailer(f"smtp://ada%40example.org:wrong@127.0.0.1:{port}").send(a_message(), nothing)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by itself, with its key, in one PEM file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now() - timedelta(days=1)).not_valid_after(now() + timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(pem))
    return path


@pytest.fixture(params=["starttls", "implicit"])
def encrypted(request: pytest.FixtureRequest, serve: Callable[..., int], certificate: Path) -> str:
    context = server_context(str(certificate))
    if request.param == "implicit":
        return f"smtps://127.0.0.1:{serve(ssl_context=context)}"
    return f"smtp://127.0.0.1:{serve(tls_context=context, require_starttls=True)}?tls=starttls"


def test_mail_goes_encrypted_to_a_server_that_can_be_trusted(
    encrypted: str, certificate: Path, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mailer(encrypted).send(a_message(), nothing)
    assert len(postbox.mails) == 1
    assert postbox.conversations[-1] == "tls"


def test_no_mail_goes_to_a_server_that_cannot_be_trusted(encrypted: str, postbox: Postbox) -> None:
    with pytest.raises(Temporary, match="certificate"):
        mailer(encrypted).send(a_message(), nothing)
    assert postbox.mails == []


def test_no_mail_goes_unencrypted_where_encryption_was_asked_for(serve: Callable[..., int], postbox: Postbox) -> None:
    with pytest.raises(Temporary, match="STARTTLS"):
        mailer(f"smtp://127.0.0.1:{serve()}?tls=starttls").send(a_message(), nothing)
    assert postbox.mails == []


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
