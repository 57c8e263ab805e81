import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet
from sqlalchemy import Engine, update

from pipeline import resealing
from pipeline.__main__ import main
from pipeline.catalog import WebhookRow
from pipeline.database import transaction
from pipeline.settings import Settings
from pipeline.tests.makers import OWNER
from pipeline.vault import Unopened, Vault, vault

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def a_vault(*keys: str) -> Vault:
    made = vault(Settings.model_validate({"secret_keys": " ".join(keys)}))
    assert made is not None
    return made


def keep(catalog: Engine, name: str, sealed: str) -> None:
    with transaction(catalog) as session:
        session.add(WebhookRow(id=name, owner=OWNER, url="https://example.org", secrets=sealed, events=[]))


def kept(catalog: Engine, name: str) -> str:
    with transaction(catalog) as session:
        return session.get_one(WebhookRow, name).secrets


def reseal(catalog: Engine, monkeypatch: pytest.MonkeyPatch, *keys: str) -> Result:
    monkeypatch.setenv("SPOOL_DATABASE_URL", catalog.url.render_as_string(hide_password=False))
    monkeypatch.setenv("SPOOL_SECRET_KEYS", " ".join(keys))
    return CliRunner().invoke(main, ["reseal"])


def test_a_key_can_be_retired(catalog: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(catalog, "w", a_vault(OLD).seal("whsec"))
    done = reseal(catalog, monkeypatch, OLD, NEW)
    assert (done.exit_code, done.output) == (0, "Sealed under the newest key: 1.\n")
    assert a_vault(NEW).open(kept(catalog, "w")) == "whsec"
    with pytest.raises(Unopened):
        a_vault(OLD).open(kept(catalog, "w"))


def test_what_is_sealed_one_behind_the_other_is_sealed_anew(catalog: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(catalog, "w", " ".join(a_vault(OLD).seal(text) for text in ("a token", "a code")))
    assert reseal(catalog, monkeypatch, OLD, NEW).exit_code == 0
    assert [a_vault(NEW).open(sealed) for sealed in kept(catalog, "w").split()] == ["a token", "a code"]


def test_what_no_key_opens_stays_and_is_told(catalog: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = a_vault(Fernet.generate_key().decode()).seal("whsec")
    keep(catalog, "lost", lost)
    keep(catalog, "w", a_vault(NEW).seal("whsec"))
    done = reseal(catalog, monkeypatch, OLD, NEW)
    assert done.exit_code == 1
    assert "newest key: 1." in done.output
    assert "1 cannot be opened by any of the keys" in done.output
    assert kept(catalog, "lost") == lost


def test_half_of_a_row_that_no_key_opens_keeps_the_other_half_from_nothing(
    catalog: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = a_vault(Fernet.generate_key().decode()).seal("a token")
    keep(catalog, "w", f"{lost} {a_vault(OLD).seal('a code')}")
    assert reseal(catalog, monkeypatch, OLD, NEW).exit_code == 1
    first, second = kept(catalog, "w").split()
    assert first == lost
    assert a_vault(NEW).open(second) == "a code"


def test_a_row_that_is_changed_meanwhile_is_sealed_as_it_is_then(catalog: Engine) -> None:
    box, copied = a_vault(OLD, NEW), a_vault(OLD).seal("a token")
    keep(catalog, "w", copied)

    class Meddling(Vault):
        meddled = False

        def reseal(self, sealed: str) -> str:
            if not self.meddled:
                object.__setattr__(self, "meddled", True)
                with catalog.begin() as other:
                    other.execute(update(WebhookRow).values(secrets=f"{copied} {a_vault(OLD).seal('a code')}"))
            return super().reseal(sealed)

    resealing.reseal(catalog, Meddling(box.fernet))
    assert [a_vault(NEW).open(sealed) for sealed in kept(catalog, "w").split()] == ["a token", "a code"]
