"""What the catalog keeps sealed, sealed under the newest key, so that an older one can be retired."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, select, update
from sqlalchemy.orm import InstrumentedAttribute

from pipeline.catalog import AuthorizationRow, Base, ConnectionRow, WebhookRow
from pipeline.database import changed, transaction
from pipeline.vault import Unopened, Vault

_SEALED: Sequence[tuple[type[Base], InstrumentedAttribute[str] | InstrumentedAttribute[str | None]]] = (
    (AuthorizationRow, AuthorizationRow.verifier),
    (ConnectionRow, ConnectionRow.secret),
    (WebhookRow, WebhookRow.secrets),
)


@dataclass(frozen=True)
class Resealed:
    sealed: int
    unopened: int
    """That none of the keys opens."""


def reseal(engine: Engine, vault: Vault) -> Resealed:
    """Seals everything anew, a row at a time; what somebody changes meanwhile is under the newest key already. Raises `Unavailable`."""
    sealed = unopened = 0
    for table, column in _SEALED:
        (key,) = table.__mapper__.primary_key
        with transaction(engine) as session:
            rows = session.execute(select(key, column).where(column.is_not(None))).all()
        for row_key, old in rows:
            try:
                new = " ".join(vault.reseal(part) for part in old.split())
                sealed += _replace(engine, (key == row_key, column == old), column, new)
            except Unopened:
                unopened += 1
    return Resealed(sealed, unopened)


def _replace(
    engine: Engine,
    same: tuple[ColumnElement[bool], ...],
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    value: str,
) -> int:
    with transaction(engine) as session:
        return changed(session, update(column.class_).where(*same).values({column: value}))
