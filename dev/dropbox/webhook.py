"""Dropbox's calls to the app (https://www.dropbox.com/developers/reference/webhooks)."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from threading import Condition, Thread

import httpx

_SECONDS = 10
"""That the app has for an answer."""


@dataclass(frozen=True)
class Delivery:
    """`status`: None if no answer came."""

    accounts: tuple[str, ...]
    status: int | None


class Webhook:
    """Tells the app whose Dropbox changed, one call at a time: changes in the meantime are told together by the next.

    Raises ValueError if the app does not answer the challenge as it has to.
    """

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.deliveries = url, list[Delivery]()
        self._secret = secret
        self._waiting: dict[str, str] = {}
        self._over = False
        self._changed = Condition()
        self._verify()
        self._thread = Thread(target=self._run, name="dropbox-webhook")
        self._thread.start()

    def tell(self, account: str, uid: str) -> None:
        with self._changed:
            self._waiting[account] = uid
            self._changed.notify()

    def stop(self) -> None:
        """What was not told yet is not told any more."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()

    def _verify(self) -> None:
        challenge = secrets.token_urlsafe(16)
        answer = httpx.get(self.url, params={"challenge": challenge}, timeout=_SECONDS)
        if answer.status_code != 200 or answer.text != challenge:
            raise ValueError(f"{self.url} answered {answer.status_code}, and not the challenge")

    def _run(self) -> None:
        with httpx.Client(timeout=_SECONDS) as client:
            while told := self._next():
                self.deliveries.append(Delivery(tuple(told), self._deliver(client, told)))

    def _next(self) -> dict[str, str]:
        """Accounts and their numbers; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            told, self._waiting = self._waiting, {}
            return {} if self._over else told

    def _deliver(self, client: httpx.Client, told: dict[str, str]) -> int | None:
        accounts, users = list(told), [int(uid) for uid in told.values()]
        body = json.dumps({"list_folder": {"accounts": accounts}, "delta": {"users": users}}).encode()
        headers = {"X-Dropbox-Signature": signature(self._secret, body), "Content-Type": "application/json"}
        try:
            return client.post(self.url, content=body, headers=headers).status_code
        except httpx.HTTPError:
            return None


def signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
