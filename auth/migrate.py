"""Brings the auth database to the tables in `auth.tables`."""

from pathlib import Path

from pipeline import migrate
from pipeline.database import connect

FOLDER = Path(__file__).parent / "migrations"


def upgrade(url: str) -> None:
    """Safe to call by several processes at once. Raises Unavailable, or ValueError for an address of no known kind."""
    engine = connect(url)
    try:
        migrate.upgrade(engine, FOLDER)
    finally:
        engine.dispose()
