"""What an owner may still take in, counted down file by file: the same limits as of an upload."""

from dataclasses import dataclass

from pipeline.accounts import Limits, Use

_FULL = {
    "jobs": "As many of your jobs are unfinished as may be at a time",
    "month_minutes": "As many minutes have been worked on for you as may be this month",
    "day_mails": "Your jobs have sent as many mails to others as they may today",
    "stored_bytes": "You keep as much as you may",
    "day_bytes": "You have uploaded as much as you may today",
}
_OF_BYTES = ("stored_bytes", "day_bytes")
"""Of which a small file may need no more than there is."""
STORE_FULL = "There is no room left for it in the store; tell whoever runs this server."


@dataclass(frozen=True)
class Full:
    """There is no room now, nor for any file of at least so many bytes, before something changes."""

    reason: str
    """The same for all files of an owner, so that they are told of together."""
    least: int


@dataclass
class Allowance:
    """`free`: bytes that may still be stored for whomever; None if that is unknown."""

    limits: Limits
    used: Use
    free: int | None = None
    files: int = 0
    bytes: int = 0
    mails: int = 0
    """How many of each were taken since `used` was found out; mails to others than the owner."""

    def take(self, size: int, mails: int) -> Full | None:
        """Takes a file of `size` bytes, of which `mails` others hear, if there is room for it."""
        if full := self._full(size, mails):
            return full
        self.files, self.bytes, self.mails = self.files + 1, self.bytes + size, self.mails + mails
        return None

    def _full(self, size: int, mails: int) -> Full | None:
        asked = {
            "jobs": (self.files, 1),
            "month_minutes": (0, 1),
            "day_mails": (self.mails, mails),
            "stored_bytes": (self.bytes, size),
            "day_bytes": (self.bytes, size),
        }
        for quota, (taken, more) in asked.items():
            limit, used = getattr(self.limits, quota), getattr(self.used, quota) + taken
            if more and limit is not None and used + more > limit:
                reason = f"{_FULL[quota]}, which is {limit:,}. It is looked at again by itself."
                return Full(reason, limit - used + 1 if quota in _OF_BYTES else 0)
        if self.free is not None and self.bytes + size > self.free:
            return Full(STORE_FULL, self.free - self.bytes + 1)
        return None
