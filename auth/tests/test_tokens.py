from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import jwt
import pytest
from sqlalchemy import Engine, func, select, update

from auth.keys import Keys
from auth.tables import RefreshTokenRow
from auth.tests.conftest import SECONDS
from auth.tokens import REFRESH_LIFE, Grant, TokenRefused, Tokens
from auth.users import User, Users
from pipeline.database import now, transaction


@pytest.fixture
def user(users: Users, email: str) -> User:
    return users.add(email, "correct horse")


def trade_or_none(tokens: Tokens, token: str) -> Grant | None:
    try:
        return tokens.refresh(token)
    except TokenRefused:
        return None


def rows(engine: Engine, user: User) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).where(RefreshTokenRow.user_id == user.id)) or 0


def test_access_tokens_carry_the_agreed_claims_and_check_with_the_published_key(
    tokens: Tokens, signing: Keys, user: User
) -> None:
    token = tokens.issue(user).access_token
    published = jwt.PyJWKSet.from_dict(signing.published())
    key = published[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="spool", issuer="spool")
    assert set(claims) == {"iss", "aud", "sub", "email", "iat", "exp", "jti"}
    assert (claims["sub"], claims["email"]) == (user.id, user.email)
    assert claims["exp"] - claims["iat"] == SECONDS
    assert abs(datetime.fromtimestamp(claims["iat"], UTC) - now()) < timedelta(seconds=5)


def test_every_token_is_its_own(tokens: Tokens, user: User) -> None:
    one, other = tokens.issue(user), tokens.issue(user)
    assert one.access_token != other.access_token
    assert one.refresh_token != other.refresh_token


def test_a_refresh_token_brings_new_tokens_of_the_same_user(tokens: Tokens, user: User) -> None:
    first = tokens.issue(user)
    second = tokens.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    claims = jwt.decode(second.access_token, options={"verify_signature": False})
    assert (claims["sub"], claims["email"]) == (user.id, user.email)
    tokens.refresh(second.refresh_token)


def test_a_refresh_token_used_again_revokes_its_family_and_no_other(tokens: Tokens, user: User) -> None:
    stolen, elsewhere = tokens.issue(user), tokens.issue(user)
    heir = tokens.refresh(stolen.refresh_token)
    for token in (stolen.refresh_token, heir.refresh_token):
        with pytest.raises(TokenRefused):
            tokens.refresh(token)
    tokens.refresh(elsewhere.refresh_token)


def test_of_several_who_trade_the_same_token_at_once_one_gets_new_ones(tokens: Tokens, user: User) -> None:
    together = Barrier(4)

    def trade(token: str) -> Grant | None:
        together.wait(timeout=10)
        return trade_or_none(tokens, token)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            grants = list(pool.map(trade, [tokens.issue(user).refresh_token] * 4))
            assert sum(grant is not None for grant in grants) == 1


def test_a_revoked_session_is_over(tokens: Tokens, user: User) -> None:
    first = tokens.issue(user)
    second = tokens.refresh(first.refresh_token)
    tokens.revoke(second.refresh_token)
    with pytest.raises(TokenRefused):
        tokens.refresh(second.refresh_token)
    tokens.revoke("never seen")


def test_refresh_tokens_expire_and_are_swept_at_the_next_sign_in(engine: Engine, tokens: Tokens, user: User) -> None:
    token = tokens.issue(user).refresh_token
    with transaction(engine) as session:
        mine = update(RefreshTokenRow).where(RefreshTokenRow.user_id == user.id)
        session.execute(mine.values(expires_at=now()))
    with pytest.raises(TokenRefused):
        tokens.refresh(token)
    tokens.issue(user)
    assert rows(engine, user) == 1


def test_refresh_tokens_live_thirty_days_and_only_their_hash_is_kept(
    engine: Engine, tokens: Tokens, user: User
) -> None:
    token = tokens.issue(user).refresh_token
    with transaction(engine) as session:
        row = session.scalars(select(RefreshTokenRow).where(RefreshTokenRow.user_id == user.id)).one()
    assert abs(row.expires_at - now() - REFRESH_LIFE) < timedelta(seconds=10)
    assert timedelta(days=30) == REFRESH_LIFE
    assert token not in (row.hash, row.family)


@pytest.mark.parametrize("change", ["password", "removal"])
def test_sessions_end_with_a_new_password_and_with_the_user(
    users: Users, tokens: Tokens, email: str, change: str
) -> None:
    token = tokens.issue(users.add(f"{change}-{email}", "one")).refresh_token
    if change == "password":
        users.set_password(f"{change}-{email}", "two")
    else:
        users.remove(f"{change}-{email}")
    with pytest.raises(TokenRefused):
        tokens.refresh(token)


@pytest.mark.parametrize("token", ["", "x" * 5000, "ünï\U0001f600"])
def test_nonsense_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenRefused):
        tokens.refresh(token)
