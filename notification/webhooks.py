"""Tells a program of what a person would get a mail about, as Standard Webhooks says (https://www.standardwebhooks.com)."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from standardwebhooks import Webhook

from notification.deliveries import Deliveries, Delivery
from notification.payloads import Payloads
from notification.sender import Answer, Sender
from pipeline.blobs import BlobStore
from pipeline.database import now
from pipeline.errors import Reject, Retry
from pipeline.retry_after import retry_after
from pipeline.vault import Unopened, Vault
from pipeline.webhook_secrets import signing
from pipeline.work import Progress, Result, Task

log = structlog.get_logger()
DELAYS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
"""Seconds from each attempt to the next, on the average; 28 hours in all."""
JITTER = 0.1
"""By which part of itself a delay is longer or shorter, so that receivers that were away are not met by all at once."""
LONGEST_PAUSE = 6 * 3600.0
"""Seconds that a receiver may ask us to stay away."""

NO_KEYS = "This server cannot sign webhooks: SPOOL_SECRET_KEYS is not set where they are sent."
UNSIGNED = "This server cannot sign for this webhook any more: the keys that its secret was kept with have gone."
GONE = "The receiver answered that it is gone for good (status 410)."
DISABLED = "The webhook is disabled."
REDIRECT = "The receiver sends on to another address, which is not followed; give the webhook the address that answers."


@dataclass(frozen=True)
class Trouble:
    """Why an attempt did not work out."""

    reason: str
    status: int | None = None
    final: bool = False
    """No other attempt would."""
    pause: float = 0.0
    """Seconds that the receiver asks for."""


def call(
    task: Task,
    _blobs: BlobStore,
    _folder: Path,
    progress: Progress,
    *,
    deliveries: Deliveries,
    sender: Sender,
    vault: Vault | None,
    payloads: Payloads,
) -> Result:
    """Delivers a message at least once: after an attempt whose end was not recorded it goes out again, under the same id.

    Raises Retry while the receiver does not take it, Reject when there will be no other attempt.
    """
    delivery = deliveries.begin(task, partial(payloads.write, task))
    if delivery is None or delivery.state == "sent":
        return Result()
    if not delivery.is_enabled:
        deliveries.give_up(delivery, DISABLED)
        raise Reject(DISABLED)
    try:
        headers = _signed(vault, delivery)
    except Retry as unsigned:
        deliveries.put_off(delivery, unsigned.reason)
        raise
    match _attempt(delivery, headers, sender, progress):
        case Trouble() as trouble:
            raise _missed(deliveries, delivery, trouble)
        case Answer(status=status):
            deliveries.delivered(delivery, status)
            log.info("webhook delivered", delivery=delivery.id, status=status)
    return Result()


def _signed(vault: Vault | None, delivery: Delivery) -> Mapping[str, str]:
    """The headers. Raises Retry where there is no secret to sign with."""
    if vault is None:
        raise Retry(NO_KEYS)
    try:
        secrets = signing(vault, delivery.secrets)
    except Unopened as error:
        raise Retry(UNSIGNED) from error
    at = now()
    signatures = [Webhook(secret).sign(delivery.id, at, delivery.payload) for secret in secrets]
    return {
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
        "Content-Type": "application/json",
        "User-Agent": "Spool (calls a webhook that somebody asked it for)",
    }


def _attempt(delivery: Delivery, headers: Mapping[str, str], sender: Sender, progress: Progress) -> Answer | Trouble:
    try:
        answer = sender.post(delivery.url, headers, delivery.payload.encode(), lambda: progress(0))
    except Retry as trouble:
        return Trouble(trouble.reason)
    except Reject as trouble:
        return Trouble(trouble.reason, final=True)
    match answer.status:
        case status if 200 <= status < 300:
            return answer
        case status if 300 <= status < 400:
            return Trouble(REDIRECT, status)
        case 410:
            return Trouble(GONE, 410, final=True)
        case status:
            pause = retry_after(answer.retry_after, LONGEST_PAUSE) if status in (429, 503) else None
            return Trouble(f"The receiver answered with status {status}.", status, pause=pause or 0.0)


def _missed(deliveries: Deliveries, delivery: Delivery, trouble: Trouble) -> Retry | Reject:
    final = trouble.final or delivery.attempts >= len(DELAYS)
    deliveries.missed(delivery, trouble.status, trouble.reason, final=final)
    if trouble.status == 410:
        deliveries.disable(delivery, GONE)
    log.warning("webhook not delivered", delivery=delivery.id, status=trouble.status, cause=trouble.reason, final=final)
    if final:
        return Reject(trouble.reason)
    usual = DELAYS[delivery.attempts] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return Retry(trouble.reason, max(usual, trouble.pause))
