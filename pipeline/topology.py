"""What is declared on RabbitMQ, as plain data. `rabbit/` says the same to a broker that is set up beforehand.

Messages go through the default exchange straight to the queue of their kind.
"""

from pipeline import flow

KINDS = tuple(flow.STAGES)

DELIVERY_LIMIT = 5
"""How often a message may come back unacknowledged before it is set aside."""

CONSUMER_TIMEOUT = 7 * 86400
"""Seconds a worker may hold a message before the broker takes it back; its row's lease tells of a dead worker long before."""

DEAD = "spool.dead"
"""The exchange that gets what cannot be handled, and the queue behind it where somebody may look at it."""


def queue_name(kind: str) -> str:
    return f"spool.{kind}"


# Dead-lettering at least once needs an overflow of reject-publish (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering).
_WORK = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}

EXCHANGES = {DEAD: "fanout"}
"""Types by name; all durable."""

QUEUES: dict[str, dict[str, object]] = {DEAD: {"x-queue-type": "quorum"}, **{queue_name(kind): _WORK for kind in KINDS}}
"""Arguments by name; all durable."""

BINDINGS = ((DEAD, DEAD),)
"""Exchange and queue."""
