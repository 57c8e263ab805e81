import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from itsdangerous import URLSafeSerializer

from pipeline.database import now
from pipeline.links import SALT, BadLink, ExpiredLink, Grant, Links

FID, ROW = "f" * 32, "1" * 32
OLD, NEW = "o" * 32, "n" * 32
LATER = datetime(2999, 1, 1, tzinfo=UTC)


def key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def test_a_link_opens_what_it_was_made_for() -> None:
    links = Links([NEW], 60)
    grant = links.open(links.sign(FID))
    assert (grant.kind, grant.id) == ("file", FID)
    assert grant.signed_at
    assert timedelta(0) <= now() - grant.signed_at < timedelta(seconds=10)
    assert 50 < (grant.expires_at - now()).total_seconds() <= 60
    assert links.open(links.sign_row(ROW, LATER)) == Grant("row", ROW, None, LATER)


def test_the_newest_key_signs_and_says_which_it_is() -> None:
    links = Links([OLD, NEW], 60)
    for token in (links.sign(FID), links.sign_row(ROW, LATER)):
        assert token.startswith(f"{key_id(NEW)}.")
        assert Links([NEW], 60).open(token)


def test_an_old_key_still_opens_and_a_foreign_one_does_not() -> None:
    old = Links([OLD], 60)
    assert Links([OLD, NEW], 60).open(old.sign(FID)).id == FID
    with pytest.raises(BadLink):
        Links([NEW], 60).open(old.sign(FID))


def test_the_key_that_a_link_names_is_the_only_one_tried() -> None:
    _, _, signed = Links([OLD], 60).sign(FID).partition(".")
    for kid in (key_id(NEW), key_id("another"), key_id(OLD).upper(), key_id(OLD)[:7], ""):
        with pytest.raises(BadLink):
            Links([OLD, NEW], 60).open(f"{kid}.{signed}")


@pytest.mark.parametrize("token", ["", ".", "a.b", "é", "x" * 5000])
def test_what_was_not_signed_is_refused(token: str) -> None:
    links = Links([NEW], 60)
    for text in (token, f"{key_id(NEW)}.{token}"):
        with pytest.raises(BadLink):
            links.open(text)


def test_a_link_that_was_changed_or_cut_anywhere_is_refused() -> None:
    links = Links([NEW], 60)
    token = links.sign(FID)
    changed = [token[:at] + ("A" if token[at] != "A" else "z") + token[at + 1 :] for at in range(len(token) - 1)]
    for text in (*changed, *(token[:end] for end in range(len(token))), token[1:], f"{token}.", f"{token}AAAA"):
        with pytest.raises(BadLink):
            links.open(text)


def test_a_link_expires() -> None:
    links = Links([NEW], -1)
    for token in (links.sign(FID), links.sign_row(ROW, now() - timedelta(seconds=2))):
        with pytest.raises(ExpiredLink):
            links.open(token)


def test_a_link_holds_nothing_but_what_it_opens_and_until_when() -> None:
    token = Links([NEW], 60).sign_row(ROW, LATER)
    payload = token[len(key_id(NEW)) + 1 :].rpartition(".")[0]
    assert URLSafeSerializer("").load_payload(payload.encode()) == ["row", ROW, None, int(LATER.timestamp())]


def test_what_is_signed_in_another_form_is_refused() -> None:
    signed = URLSafeSerializer(
        NEW, salt=SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256}
    )
    with pytest.raises(BadLink):
        Links([NEW], 60).open(f"{key_id(NEW)}.{signed.dumps(['file', FID, int(LATER.timestamp())])}")
