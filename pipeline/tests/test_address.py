import pytest

from pipeline.address import CREDENTIALS, MALFORMED, SCHEMES, check
from pipeline.errors import Reject


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://example.org/a.mp3", "http://example.org/a.mp3"),
        ("  HTTPS://Example.ORG:8443/a.mp3#t=10\n", "https://example.org:8443/a.mp3"),
        ("https://müller.example/ä b.mp3?x=ü", "https://xn--mller-kva.example/%C3%A4%20b.mp3?x=%C3%BC"),
        ("http://example.org/a%20b.mp3?sig=a%2Fb%3D&x=1", "http://example.org/a%20b.mp3?sig=a%2Fb%3D&x=1"),
        ("http://[2606:4700::1]:8080/a", "http://[2606:4700::1]:8080/a"),
        ("http://example.org", "http://example.org"),
    ],
)
def test_addresses_are_written_as_servers_read_them(given: str, asked: str) -> None:
    assert check(given) == asked


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("file:///etc/passwd", SCHEMES),
        ("ftp://example.org/a.mp3", SCHEMES),
        ("gopher://example.org/", SCHEMES),
        ("//example.org/a.mp3", SCHEMES),
        ("a.mp3", SCHEMES),
        ("", SCHEMES),
        ("http://ada:secret@example.org/", CREDENTIALS),
        ("http://ada@example.org/", CREDENTIALS),
        ("http://example.org\\@127.0.0.1/", CREDENTIALS),
        ("http://", MALFORMED),
        ("http:///a.mp3", MALFORMED),
        ("http://example.org:port/", MALFORMED),
        ("http://example.org:99999/", MALFORMED),
        ("http://[::1/", MALFORMED),
        ("http://[fe80::1%25eth0]/", MALFORMED),
        ("http://exa mple.org/", MALFORMED),
        ("http://exam\0ple.org/", MALFORMED),
        (f"http://{'a' * 64}.org/", MALFORMED),
    ],
)
def test_what_is_no_address_of_the_web_is_refused_with_its_reason(given: str, reason: str) -> None:
    with pytest.raises(Reject) as refused:
        check(given)
    assert refused.value.reason == reason
