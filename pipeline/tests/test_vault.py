import pytest
from cryptography.fernet import Fernet

from pipeline.settings import Settings
from pipeline.vault import Unopened, Vault, vault


def a_vault(*keys: bytes) -> Vault:
    made = vault(Settings.model_validate({"secret_keys": b" ".join(keys).decode()}))
    assert made is not None
    return made


def test_what_is_sealed_can_be_opened_and_not_read() -> None:
    sealed = a_vault(Fernet.generate_key()).seal("a token")
    assert "a token" not in sealed


def test_keys_can_be_rotated() -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    sealed = a_vault(old).seal("a token")
    both = a_vault(old, new)
    assert both.open(sealed) == "a token"
    assert a_vault(new).open(both.seal("another")) == "another"
    with pytest.raises(Unopened):
        a_vault(new).open(sealed)


def test_what_was_changed_is_not_opened() -> None:
    box = a_vault(Fernet.generate_key())
    with pytest.raises(Unopened):
        box.open(box.seal("a token")[:-8] + "AAAAAAA=")


def test_there_is_none_without_keys() -> None:
    assert vault(Settings()) is None


def test_keys_that_are_none_are_told() -> None:
    with pytest.raises(SystemExit, match="SPOOL_SECRET_KEYS: a key is 32 bytes"):
        a_vault(b"password")
