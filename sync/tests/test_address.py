import pytest

from pipeline.errors import Reject
from sync.address import CREDENTIALS, DOWNGRADE, MALFORMED, SCHEMES, check, follow, last_segment


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
def test_what_is_not_fetched_is_refused_with_its_reason(given: str, reason: str) -> None:
    with pytest.raises(Reject) as refused:
        check(given)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("b.mp3", "https://example.org/x/b.mp3"),
        ("/b.mp3?x=1", "https://example.org/b.mp3?x=1"),
        ("//cdn.example/b.mp3", "https://cdn.example/b.mp3"),
        ("https://cdn.example/ä.mp3", "https://cdn.example/%C3%A4.mp3"),
    ],
)
def test_redirects_may_be_relative(location: str, target: str) -> None:
    assert follow("https://example.org/x/a.mp3", location) == target


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://example.org/a.mp3", DOWNGRADE),
        ("file:///etc/passwd", SCHEMES),
        ("https://a:b@example.org/", CREDENTIALS),
        ("https://[::1/", MALFORMED),
    ],
)
def test_redirects_are_checked_as_addresses_are(location: str, reason: str) -> None:
    with pytest.raises(Reject) as refused:
        follow("https://example.org/", location)
    assert refused.value.reason == reason


def test_http_may_lead_to_https() -> None:
    assert follow("http://example.org/", "https://example.org/") == "https://example.org/"


def test_the_last_segment_is_read_as_people_do() -> None:
    assert last_segment("http://example.org/x/a%20b%C3%A4.mp3?sig=1") == "a bä.mp3"
    assert last_segment("http://example.org/") == ""
