import pytest

from pipeline.links import BadLink, ExpiredLink, Links

FID = "f" * 32


def test_a_link_opens_what_it_was_made_for() -> None:
    links = Links(["k" * 32], 60)
    assert links.open(links.sign(FID)) == FID


def test_an_old_key_still_opens_and_a_foreign_one_does_not() -> None:
    old = Links(["o" * 32], 60)
    assert Links(["o" * 32, "n" * 32], 60).open(old.sign(FID)) == FID
    with pytest.raises(BadLink):
        Links(["n" * 32], 60).open(old.sign(FID))


@pytest.mark.parametrize("token", ["", ".", "a.b", "é", "x" * 5000])
def test_what_was_not_signed_is_refused(token: str) -> None:
    with pytest.raises(BadLink):
        Links(["k" * 32], 60).open(token)


def test_a_changed_link_is_refused() -> None:
    links = Links(["k" * 32], 60)
    token = links.sign(FID)
    with pytest.raises(BadLink):
        links.open(token[1:])


def test_a_link_expires() -> None:
    links = Links(["k" * 32], -1)
    with pytest.raises(ExpiredLink):
        links.open(links.sign(FID))
