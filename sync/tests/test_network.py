"""Where connections lead, and how a wait is ended."""

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from ipaddress import ip_network
from pathlib import Path
from threading import Event, Thread

import pytest
from pytest_socket import SocketConnectBlockedError

from pipeline.errors import Interrupted, Reject, Retry
from pipeline.guard import Guard
from pipeline.network import FORBIDDEN, UNPROVEN, look_up, tls_context
from sync.by_address.address import DOWNGRADE
from sync.tests.conftest import RECORDING, Fetcher
from sync.tests.site import RESET, Site, certificate, falls_silent, gives, leads, ranges, running, says

PUBLIC = "93.184.216.34"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00::]",
        "[fe80::1]",
    ],
)
def test_no_spelling_of_a_forbidden_machine_is_connected_to(site: Site, fetcher: Fetcher, host: str) -> None:
    site.put("/a.mp3", gives(RECORDING))
    fetcher.guard = Guard()
    with pytest.raises(Reject, match="private network") as refused:
        fetcher(site.url("/a.mp3", host))
    assert refused.value.reason == FORBIDDEN
    assert not site.asked


@pytest.mark.parametrize("host", ["127.0.0.2", "2130706434", "forbidden.example", "[::1]", "169.254.169.254"])
def test_no_redirect_leads_to_a_forbidden_machine(site: Site, fetcher: Fetcher, host: str) -> None:
    fetcher.resolver = lambda name, port: ["127.0.0.2"] if name == "forbidden.example" else look_up(name, port)
    url = site.put("/a.mp3", leads(site.url("/b.mp3", host)))
    with pytest.raises(Reject) as refused:
        fetcher(url)
    assert refused.value.reason == FORBIDDEN
    assert [asked.path for asked in site.asked] == ["/a.mp3"]


def test_a_connection_goes_to_the_address_that_was_checked(site: Site, fetcher: Fetcher) -> None:
    """DNS rebinding: public when it is checked, loopback when anybody asks again."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    fetcher.guard, fetcher.resolver = Guard(), lambda host, port: next(answers)
    site.put("/a.mp3", gives(RECORDING))
    # The tests' own ban on connections beyond this machine says where this one went.
    with pytest.raises((SocketConnectBlockedError, UserWarning), match=f'host "{PUBLIC}"'):
        fetcher(site.url("/a.mp3", "rebinding.example"))
    assert not site.asked


def test_every_further_connection_is_checked_too(site: Site, fetcher: Fetcher) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    fetcher.resolver = lambda host, port: next(answers)
    site.put("/a.mp3", ranges(RECORDING, 1000, ETag='"1"'))
    with pytest.raises(Reject) as refused:
        fetcher(site.url("/a.mp3", "rebinding.example"))
    assert refused.value.reason == FORBIDDEN
    assert len(site.asked) == 1


def test_of_several_addresses_the_allowed_ones_are_tried_in_turn(site: Site, fetcher: Fetcher) -> None:
    fetcher.guard = Guard((ip_network("127.0.0.1/32"), ip_network("::1/128")))
    fetcher.resolver = lambda host, port: ["10.0.0.1", "::1", "127.0.0.1"]  # nobody listens on ::1
    site.put("/a.mp3", gives(RECORDING))
    assert fetcher(site.url("/a.mp3", "many.example")).bytes == len(RECORDING)


def test_where_nobody_listens_it_is_tried_again_later(fetcher: Fetcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Retry, match="connection to the server"):
            fetcher(f"http://127.0.0.1:{taken.getsockname()[1]}/a.mp3")


def test_a_name_that_is_not_found_is_tried_again_later(fetcher: Fetcher) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    fetcher.resolver = resolver
    with pytest.raises(Retry, match="cannot be found"):
        fetcher("http://nowhere.example/a.mp3")


def test_proxies_of_the_environment_are_not_asked(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetcher(site.put("/a.mp3", gives(RECORDING))).bytes == len(RECORDING)


# ---- TLS


@pytest.fixture
def trusted(tmp_path: Path, fetcher: Fetcher) -> Iterator[Site]:
    """A site that can prove that it is site.example, to those who trust its certificate."""
    public, context = certificate(tmp_path, "site.example")
    fetcher.tls = tls_context(str(public))
    fetcher.resolver = lambda host, port: ["127.0.0.1"]
    with running(context) as site:
        yield site


def test_recordings_come_over_tls(trusted: Site, fetcher: Fetcher) -> None:
    trusted.put("/a.mp3", ranges(RECORDING, 200_000, ETag='"1"'))
    assert fetcher.bytes(fetcher(trusted.url("/a.mp3", "site.example"))) == RECORDING


def test_a_certificate_for_another_name_is_refused(trusted: Site, fetcher: Fetcher) -> None:
    trusted.put("/a.mp3", gives(RECORDING))
    with pytest.raises(Reject) as refused:
        fetcher(trusted.url("/a.mp3", "other.example"))
    assert refused.value.reason == UNPROVEN
    assert not trusted.asked


def test_a_certificate_that_nobody_trusts_is_refused(trusted: Site, fetcher: Fetcher) -> None:
    trusted.put("/a.mp3", gives(RECORDING))
    fetcher.tls = ssl.create_default_context()
    with pytest.raises(Reject) as refused:
        fetcher(trusted.url("/a.mp3", "site.example"))
    assert refused.value.reason == UNPROVEN


def test_https_does_not_lead_down_to_http(trusted: Site, site: Site, fetcher: Fetcher) -> None:
    trusted.put("/a.mp3", leads(site.put("/a.mp3", gives(RECORDING))))
    with pytest.raises(Reject) as refused:
        fetcher(trusted.url("/a.mp3", "site.example"))
    assert refused.value.reason == DOWNGRADE
    assert not site.asked


def test_an_end_without_a_goodbye_is_a_cut(trusted: Site, fetcher: Fetcher) -> None:
    trusted.put("/a.mp3", says(b"HTTP/1.1 200 OK\r\n\r\n" + RECORDING))
    with pytest.raises(Retry, match="broke off"):
        fetcher(trusted.url("/a.mp3", "site.example"))
    assert len(trusted.asked) == 3


# ---- waits


class Cancelled:
    """A progress that ends the attempt once `now` is set."""

    def __init__(self) -> None:
        self.now = Event()

    def __call__(self, percent: float, speed: float | None = None, /) -> None:
        if self.now.is_set():
            raise Interrupted


def _cancel(fetcher: Fetcher, url: str, cancelled: Cancelled) -> None:
    began = time.monotonic()
    with pytest.raises(Interrupted):
        fetcher(url, cancelled)
    assert time.monotonic() - began < 10
    assert not fetcher.kept()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", HEAD, HEAD + RECORDING])
def test_cancel_ends_a_fetch_while_the_server_is_silent(site: Site, fetcher: Fetcher, said: bytes) -> None:
    cancelled = Cancelled()
    _cancel(fetcher, site.put("/a.mp3", falls_silent(said, cancelled.now)), cancelled)


def test_cancel_ends_a_fetch_while_the_resolver_is_silent(fetcher: Fetcher) -> None:
    cancelled, over = Cancelled(), Event()

    def resolver(host: str, port: int) -> list[str]:
        cancelled.now.set()
        over.wait(60)
        return []

    fetcher.resolver = resolver
    _cancel(fetcher, "http://slow.example/a.mp3", cancelled)
    over.set()


def test_cancel_ends_a_fetch_in_a_silent_handshake(fetcher: Fetcher) -> None:
    cancelled = Cancelled()
    with socket.create_server(("127.0.0.1", 0)) as mute:

        def accept() -> None:
            connection, _ = mute.accept()
            with connection:
                cancelled.now.set()
                connection.recv(10**6)
                connection.recv(10**6)

        thread = Thread(target=accept)
        thread.start()
        _cancel(fetcher, f"https://127.0.0.1:{mute.getsockname()[1]}/a.mp3", cancelled)
        thread.join()


def test_a_server_that_resets_every_connection_is_left(fetcher: Fetcher) -> None:
    with ExitStack() as stack:
        rude = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def refuse() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = rude.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    connection.close()

        stack.enter_context(ThreadPoolExecutor()).submit(refuse)
        stack.callback(rude.shutdown, socket.SHUT_RDWR)  # ends `accept`, whatever comes of the fetch
        with pytest.raises(Retry, match="connection to the server"):
            fetcher(f"https://127.0.0.1:{rude.getsockname()[1]}/a.mp3")
    assert not fetcher.kept()


def test_a_server_that_takes_no_connection_is_left(fetcher: Fetcher) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # what finds no room gets no answer
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        with pytest.raises(Retry, match="does not answer"):
            fetcher.limited(silence=4)(f"http://127.0.0.1:{full.getsockname()[1]}/a.mp3")
    assert len(fetcher.percents) >= 3  # one for the name, one for each try


@pytest.mark.parametrize("said", [b"", HEAD])
def test_a_server_that_stays_silent_is_left(site: Site, fetcher: Fetcher, said: bytes) -> None:
    url = site.put("/a.mp3", falls_silent(said, Event()))
    with pytest.raises(Retry):
        fetcher.limited(silence=0.6)(url)
    assert not fetcher.kept()
