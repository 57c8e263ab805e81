import pytest

from pipeline.address import CREDENTIALS, MALFORMED, SCHEMES
from pipeline.errors import Reject
from sync.by_address.address import DOWNGRADE, follow, last_segment


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
