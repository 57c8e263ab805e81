"""The auth database's tables. `auth/migrations` leads to exactly these."""

import uuid
from datetime import datetime

from sqlalchemy import CHAR, ForeignKey, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pipeline.database import MYSQL_TABLE, UtcDateTime, now


class Base(DeclarativeBase):
    __table_args__ = MYSQL_TABLE
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(CHAR(32), primary_key=True, default=lambda: uuid.uuid4().hex)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class BrakeRow(Base):
    """Wrong passwords for all addresses that fall into one bucket; the number of rows is fixed, see `auth.brake`."""

    __tablename__ = "brakes"

    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    failures: Mapped[int] = mapped_column(default=0)
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class RefreshTokenRow(Base):
    """One refresh token. All that were rotated out of the same sign-in are a family."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    family: Mapped[str] = mapped_column(CHAR(32), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
