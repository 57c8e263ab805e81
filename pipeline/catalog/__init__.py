"""The catalog: what work exists, and what came of it. Tables for SQLAlchemy; `pipeline/migrations` makes them."""

from pipeline.catalog.accounts import AccountRow, RemovalRow, ReservationRow, UploadRow, UsageRow
from pipeline.catalog.base import ENDED, Base
from pipeline.catalog.connections import AuthorizationRow, ConnectionRow, FolderRow, RemoteFileRow, ReturnedFileRow
from pipeline.catalog.jobs import ArtifactRow, DeletionRow, JobRow, LinkRow, TaskRow
from pipeline.catalog.passages import PassageRow
from pipeline.catalog.telling import DeliveryRow, MailRow, UnsubscribedRow, WebhookRow

__all__ = [
    "ENDED",
    "AccountRow",
    "ArtifactRow",
    "AuthorizationRow",
    "Base",
    "ConnectionRow",
    "DeletionRow",
    "DeliveryRow",
    "FolderRow",
    "JobRow",
    "LinkRow",
    "MailRow",
    "PassageRow",
    "RemoteFileRow",
    "RemovalRow",
    "ReservationRow",
    "ReturnedFileRow",
    "TaskRow",
    "UnsubscribedRow",
    "UploadRow",
    "UsageRow",
    "WebhookRow",
]
