"""What the links in mails do that end them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tests.conftest import ADA, LINK_KEY, World
from gateway.tests.exchanges import assert_problem
from pipeline.links import BadLink, Links
from pipeline.mails import Unsubscribing

OWNER = "a" * 32
SIGNER = Unsubscribing(Links([LINK_KEY], 1))
PATH = f"/v1/unsubscribe/{SIGNER.sign(OWNER, ADA)}"


def unsubscribed(world: World) -> list[str]:
    return list(world.services.mails.unsubscribed(OWNER))


def test_one_click_of_a_mail_program_ends_the_mails(world: World) -> None:
    """RFC 8058, section 3.2: a POST without cookies, of which nothing but the status is read."""
    answer = world.client.post(PATH, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert unsubscribed(world) == [ADA]
    assert world.client.post(PATH, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert unsubscribed(world) == [ADA]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_looking_changes_nothing(world: World, method: str) -> None:
    assert world.client.open(PATH, method=method).status_code == 200
    assert unsubscribed(world) == []


def test_the_button_of_the_page_ends_the_mails_and_its_next_one_takes_that_back(world: World) -> None:
    page, seen = world.client.get(PATH).text, []
    for _ in range(2):
        (button,) = re.findall(r'<form method="post" action="([^"]+)"', page)
        page = world.client.post(button).text
        seen.append(unsubscribed(world))
        assert page == world.client.get(PATH).text
    assert seen == [[ADA], []]


def test_no_other_page_can_click_for_its_reader_and_nobody_keeps_it(world: World) -> None:
    headers = world.client.get(PATH).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_an_address_stays_text(world: World) -> None:
    path = f"/v1/unsubscribe/{SIGNER.sign(OWNER, '<script>@b.org')}"
    assert "<script>" not in world.client.get(path).text


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b",
        Links([LINK_KEY], 99).sign("f" * 32),
        PATH[16:-1] + "!",
        Unsubscribing(Links(["z" * 32], 1)).sign(OWNER, ADA),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_not_signed_for_this_opens_nothing(world: World, token: str, method: str) -> None:
    assert_problem(world.client.open(f"/v1/unsubscribe/{token}", method=method), 404, "not_found")


def test_keys_can_be_changed() -> None:
    token = Unsubscribing(Links(["o" * 32], 1)).sign(OWNER, ADA)
    assert Unsubscribing(Links(["o" * 32, "n" * 32], 1)).open(token) == (OWNER, ADA)


def test_a_link_to_a_file_is_no_token_and_a_token_opens_no_file(world: World) -> None:
    assert_problem(world.client.get(f"/v1/links/{SIGNER.sign(OWNER, ADA)}"), 404, "not_found")


@given(st.text())
def test_no_made_up_token_is_good(text: str) -> None:
    with pytest.raises(BadLink):
        SIGNER.open(text.encode(errors="replace").decode())
