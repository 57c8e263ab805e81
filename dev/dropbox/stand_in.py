"""The whole of the stand-in, as tests see it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Lock
from typing import Any

from dev.dropbox import listing
from dev.dropbox.account import Account
from dev.dropbox.errors import bad_input
from dev.dropbox.faults import FAULTS, ONLY, Fault
from dev.dropbox.grants import App, Grants
from dev.dropbox.place import HOST, hosts
from dev.dropbox.routes import AUTHORIZE, LONGPOLL, ROUTES, TOKEN, Call
from dev.dropbox.webhook import Webhook

_APART = (AUTHORIZE, TOKEN, LONGPOLL)
"""Calls that are counted, but not as calls of the API, and that only a fault of their own meets."""


class DropboxStandIn:
    """A Dropbox with accounts; the first one's owner is signed in.

    `page`: entries that a listing tells at once. `longest_poll`: seconds after which a longpoll is answered, also if it
    asked for more; `backoff`: what it is told to wait.
    """

    def __init__(self, app: App | None = None) -> None:
        self.app = app or App()
        self.grants = Grants(self.app)
        self.accounts: dict[str, Account] = {}
        self.account = self.signed_in = self.new_account("Ada Lovelace", "ada@example.com")
        self.denies = False
        """The owner who is signed in says no."""
        self.page = 500
        self.longest_poll: float = 480
        self.backoff: int | None = None
        self.calls: Counter[str] = Counter()
        self.downloaded = self.uploaded = 0
        """Bytes of files."""
        self.webhook: Webhook | None = None
        self.over = Event()
        self.port = 0
        self.authority = Path()
        """The file with the certificate of who signed the stand-in's."""
        self._faults: list[tuple[str | None, Fault]] = []
        self._lock = Lock()

    def new_account(self, name: str, email: str) -> Account:
        account = Account(name, email, self._changed)
        self.accounts[account.id] = account
        return account

    def _changed(self, account: Account) -> None:
        if self.webhook and self.grants.connected(account.id):
            self.webhook.tell(account.id, account.uid)

    def call_webhook(self, url: str) -> Webhook:
        """From now on. Raises ValueError if `url` does not answer the challenge."""
        self.webhook = Webhook(url, self.app.secret)
        return self.webhook

    def fail(self, *faults: str | Fault, route: str | None = None) -> None:
        """What happens to the next calls of `route`, or of any of the API and its content, one each.

        Faults that make sense for one route alone are for that one.
        """
        with self._lock:
            for fault in faults:
                if isinstance(fault, str):
                    self._faults.append((route or ONLY.get(fault), FAULTS[fault]))
                else:
                    self._faults.append((route, fault))

    @property
    def faults_left(self) -> int:
        return len(self._faults)

    @property
    def api_calls(self) -> int:
        """Without longpolls, tokens and pages of the web site."""
        return sum(count for route, count in self.calls.items() if route not in _APART)

    def reset_counters(self) -> None:
        with self._lock:
            self.calls.clear()
            self.downloaded = self.uploaded = 0

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process has to be given so that its SDK talks to the stand-in."""
        return {**hosts(self.port), "REQUESTS_CA_BUNDLE": str(self.authority)}

    def begin(self, route: str) -> Fault | None:
        """Counts a call, and gives what is to happen to it."""
        with self._lock:
            self.calls[route] += 1
            for at, (wanted, fault) in enumerate(self._faults):
                if wanted == route or (wanted is None and route not in _APART):
                    del self._faults[at]
                    return fault
        return None

    def count(self, downloaded: int = 0, uploaded: int = 0) -> None:
        with self._lock:
            self.downloaded += downloaded
            self.uploaded += uploaded

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser of the owner who is signed in is sent. Raises Refused."""
        return self.grants.refuse(query) if self.denies else self.grants.approve(query, self.signed_in.id)

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises Refused."""
        answer = self.grants.token(form)
        account = self.accounts.get(answer.get("account_id", ""))
        return answer | ({"uid": account.uid} if account else {})

    def answer(self, name: str, authorization: str, argument: Any, body: bytes) -> Any:
        """What a route answers: something that becomes JSON, or the file for a download. Raises Refused."""
        route = ROUTES[name]
        account = self.accounts[self.grants.account(authorization, route.scope)]
        if name == "auth/token/revoke":
            self.grants.revoke(authorization)
        try:
            return route.answer(Call(account, argument or {}, body, self.page))
        except KeyError as missing:
            raise bad_input(name, f"request body: missing required field {missing}") from None

    def longpoll(self, argument: dict[str, Any]) -> dict[str, Any]:
        """Raises Refused."""
        cursor = listing.read(argument.get("cursor", ""), LONGPOLL)
        account = listing.check(self.accounts.get(cursor.account), cursor)
        seconds = min(listing.polled(argument), self.longest_poll)
        changes = listing.wait(account, cursor, seconds, self.over)
        return {"changes": changes} | ({"backoff": self.backoff} if self.backoff else {})

    def stop(self) -> None:
        """Wakes everybody who waits."""
        self.over.set()
        for account in self.accounts.values():
            with account.moved_on:
                account.moved_on.notify_all()
        if self.webhook:
            self.webhook.stop()
