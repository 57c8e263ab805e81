"""What users and those they write to want of mails."""

import pytest
from sqlalchemy import Engine

from pipeline.accounts import Accounts
from pipeline.mails import Choice, Mails
from pipeline.tests.makers import OWNER


@pytest.mark.parametrize("choice", ["all", "failures", "none", "digest"])
def test_a_choice_is_kept_beside_what_else_holds_for_the_user(catalog: Engine, choice: Choice) -> None:
    mails, accounts = Mails(catalog), Accounts(catalog)
    assert mails.choice(OWNER) == "all"
    accounts.change(OWNER, jobs=3)
    mails.choose(OWNER, choice)
    accounts.change(OWNER, keep_result_days=3)
    assert (mails.choice(OWNER), accounts.limits(OWNER).jobs) == (choice, 3)
    assert mails.choice("b" * 32) == "all"
    mails.choose(OWNER, None)
    assert mails.choice(OWNER) == "all"


def test_an_address_unsubscribes_from_one_user_however_it_is_written(catalog: Engine) -> None:
    mails = Mails(catalog)
    for _ in range(2):
        mails.unsubscribe(OWNER, "Ada@Example.org")
    assert mails.unsubscribed(OWNER) == ["ada@example.org"]
    assert mails.has_unsubscribed(OWNER, "ADA@example.ORG")
    assert not mails.has_unsubscribed("b" * 32, "ada@example.org")
    assert not mails.has_unsubscribed(OWNER, "bob@example.org")


def test_an_address_subscribes_again(catalog: Engine) -> None:
    mails = Mails(catalog)
    for address in ("ada@example.org", "bob@example.org"):
        mails.unsubscribe(OWNER, address)
    mails.subscribe(OWNER, "ADA@example.org")
    mails.subscribe(OWNER, "nobody@example.org")
    assert mails.unsubscribed(OWNER) == ["bob@example.org"]
