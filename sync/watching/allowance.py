"""What an owner may still take in, counted down file by file: the same limits as of an upload."""

from dataclasses import dataclass

from pipeline.accounts import Limits, Use

_FULL = {
    "jobs": "As many of your jobs are unfinished as may be at a time",
    "month_minutes": "As much has been worked on for you as may be this month",
    "day_mails": "Your jobs have sent as many mails to others as they may today",
    "stored_bytes": "You keep as much as you may; delete something",
    "day_bytes": "You have uploaded as much as you may today",
}
STORE_FULL = "There is no room left for it in the store; tell whoever runs this server."


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

    def take(self, size: int, mails: int) -> str | None:
        """Takes a file of `size` bytes, of which `mails` others hear. The reason why there is no room for it now, None if there is."""
        if full := self._full(size, mails):
            return full
        self.files, self.bytes, self.mails = self.files + 1, self.bytes + size, self.mails + mails
        return None

    def _full(self, size: int, mails: int) -> str | None:
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
                return f"{_FULL[quota]}: {used:,} of {limit:,}. It is looked at again by itself."
        no_room = self.free is not None and self.bytes + size > self.free
        return STORE_FULL if no_room else None
