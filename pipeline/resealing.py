"""What the catalog keeps sealed, sealed under the newest key, so that an older one can be retired."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import InstrumentedAttribute

from pipeline.catalog import AuthorizationRow, Base, ConnectionRow, WebhookRow
from pipeline.database import changed, transaction
from pipeline.vault import Unopened, Vault

Sealed = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]

_SEALED: Sequence[tuple[type[Base], Sealed]] = (
    (AuthorizationRow, AuthorizationRow.verifier),
    (ConnectionRow, ConnectionRow.secret),
    (WebhookRow, WebhookRow.secrets),
)


@dataclass
class Resealed:
    """How many secrets; several may stand in one row."""

    sealed: int = 0
    unopened: int = 0
    """That none of the keys opens."""


def reseal(engine: Engine, vault: Vault) -> Resealed:
    """Seals everything anew, a row at a time. Raises `Unavailable`."""
    done = Resealed()
    for table, column in _SEALED:
        (key,) = table.__mapper__.primary_key
        with transaction(engine) as session:
            keys = session.scalars(select(key).where(column.is_not(None))).all()
        for row_key in keys:
            _reseal(engine, vault, table, row_key, column, done)
    return done


def _reseal(engine: Engine, vault: Vault, table: type[Base], row_key: str, column: Sealed, done: Resealed) -> None:
    """One row, again if somebody changed it meanwhile: what stays of it was copied as it was."""
    (key,) = table.__mapper__.primary_key
    while True:
        with transaction(engine) as session:
            old = session.scalar(select(column).where(key == row_key))
        parts = (old or "").split()
        renewed = [_renewed(vault, part) for part in parts]
        new = " ".join(fresh or part for fresh, part in zip(renewed, parts, strict=True))
        with transaction(engine) as session:
            same = key == row_key, column == old
            if old is None or changed(session, update(table).where(*same).values({column.key: new})):
                break
    done.unopened += renewed.count(None)
    done.sealed += len(renewed) - renewed.count(None)


def _renewed(vault: Vault, sealed: str) -> str | None:
    """None if no key opens it."""
    try:
        return vault.reseal(sealed)
    except Unopened:
        return None
