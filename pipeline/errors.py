"""The words in which parts of the pipeline tell each other that something did not work."""


class Unavailable(Exception):
    """A back end (catalog, blob store, broker) cannot be reached now; the same call may work later."""


class Full(Unavailable):
    """A store has no room for what should be written."""


class Busy(Exception):
    """Somebody else is writing this; the same call may work once they have ended."""


class Retry(Exception):
    """A task cannot be done now; it is tried again after `delay` seconds, or after the usual backoff."""

    def __init__(self, reason: str, delay: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class Reject(Exception):
    """A task can never be done; its user reads `reason`, so it is a whole sentence without paths or secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Interrupted(Exception):
    """The running attempt must end at once: its job was cancelled, its lease was lost or its worker is stopping."""
