"""Who may do what: OAuth 2 as Dropbox offers it (https://developers.dropbox.com/oauth-guide), with PKCE (RFC 7636)."""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from dev.dropbox.errors import Refused, unauthorized

SCOPES = (
    "account_info.read",
    "files.metadata.read",
    "files.metadata.write",
    "files.content.read",
    "files.content.write",
)
LIFETIME = 14400
"""Seconds that an access token is good for, as of the real one."""

Form = Mapping[str, str]


@dataclass(frozen=True)
class App:
    """As it is registered in the app console; `scopes`: what it may ask for."""

    key: str = "spoolstandinkey"
    secret: str = "spoolstandinsecret"
    scopes: tuple[str, ...] = SCOPES


@dataclass(eq=False)
class Grant:
    """What an account let the app do, once. `refresh_token` is empty for access that ends by itself."""

    account: str
    scopes: tuple[str, ...]
    refresh_token: str
    revoked: bool = False


@dataclass(frozen=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str


@dataclass
class _Access:
    grant: Grant
    scopes: tuple[str, ...]
    ends_at: float


@dataclass
class Grants:
    """`lifetime`: seconds that new access tokens are good for."""

    app: App
    lifetime: int = LIFETIME
    given: list[Grant] = field(default_factory=list)
    _codes: dict[str, _Code] = field(default_factory=dict)
    _access: dict[str, _Access] = field(default_factory=dict)

    def approve(self, query: Form, account: str) -> str:
        """Where the browser is sent when the account's owner says yes. Raises Refused for what Dropbox shows as a page."""
        scopes = self._asked(query)
        refresh = secrets.token_urlsafe(48) if query.get("token_access_type") == "offline" else ""
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(
            Grant(account, scopes, refresh), query["redirect_uri"], query.get("code_challenge", "")
        )
        return _back(query, code=code)

    def refuse(self, query: Form) -> str:
        """Where the browser is sent when the owner says no."""
        self._asked(query)
        denied = "The user chose not to give your app access to their Dropbox account."
        return _back(query, error="access_denied", error_description=denied)

    def _asked(self, query: Form) -> tuple[str, ...]:
        if query.get("client_id") != self.app.key:
            raise Refused(400, "Invalid client_id")
        if query.get("response_type") != "code" or not query.get("redirect_uri"):
            raise Refused(400, "Invalid response_type or redirect_uri")
        if "code_challenge" in query and query.get("code_challenge_method") != "S256":
            raise Refused(400, "Invalid code_challenge_method")
        scopes = tuple(query.get("scope", "").split()) or self.app.scopes
        if not set(scopes) <= set(self.app.scopes):
            raise Refused(400, "Invalid scope")
        return scopes

    def token(self, form: Form) -> dict[str, Any]:
        """Answers `POST /oauth2/token`. Raises Refused with the error that RFC 6749, section 5.2 names."""
        if form.get("client_id") != self.app.key or form.get("client_secret", self.app.secret) != self.app.secret:
            raise _wrong("invalid_client", "client_id or client_secret is wrong")
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange(form)
            case "refresh_token":
                return self._refresh(form)
        raise _wrong("unsupported_grant_type", "grant_type has to be authorization_code or refresh_token")

    def _exchange(self, form: Form) -> dict[str, Any]:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            raise _wrong("invalid_grant", "code doesn't exist or has expired")
        if form.get("redirect_uri") != code.redirect_uri:
            raise _wrong("invalid_grant", "redirect_uri mismatch")
        if code.challenge and not hmac.compare_digest(challenge(form.get("code_verifier", "")), code.challenge):
            raise _wrong("invalid_grant", "invalid code verifier")
        if not code.challenge and "client_secret" not in form:
            raise _wrong("invalid_client", "client_secret or code_verifier is needed")
        self.given.append(code.grant)
        refresh = {"refresh_token": code.grant.refresh_token} if code.grant.refresh_token else {}
        return self._new_access(code.grant, code.grant.scopes) | refresh | {"account_id": code.grant.account}

    def _refresh(self, form: Form) -> dict[str, Any]:
        token = form.get("refresh_token")
        grant = next((one for one in self.given if token and one.refresh_token == token), None)
        if grant is None or grant.revoked:
            raise _wrong("invalid_grant", "refresh token is invalid or revoked")
        scopes = tuple(form.get("scope", "").split()) or grant.scopes
        if not set(scopes) <= set(grant.scopes):
            raise _wrong("invalid_scope", "scopes were not granted")
        return self._new_access(grant, scopes)

    def _new_access(self, grant: Grant, scopes: tuple[str, ...]) -> dict[str, Any]:
        token = f"sl.{secrets.token_urlsafe(48)}"
        self._access[token] = _Access(grant, scopes, time.monotonic() + self.lifetime)
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.lifetime,
            "scope": " ".join(scopes),
        }

    def give(self, account: str, scopes: tuple[str, ...] = ()) -> Grant:
        """What a finished flow leaves behind, for tests that are about something else."""
        grant = Grant(account, scopes or self.app.scopes, secrets.token_urlsafe(48))
        self.given.append(grant)
        return grant

    def account(self, authorization: str, scope: str | None) -> str:
        """Whose Dropbox the header opens. Raises Refused if it opens none, or not for what needs `scope`."""
        access = self._access.get(authorization.removeprefix("Bearer "))
        if access is None or access.grant.revoked:
            raise unauthorized("invalid_access_token")
        if time.monotonic() >= access.ends_at:
            raise unauthorized("expired_access_token")
        if scope and scope not in access.scopes:
            raise unauthorized("missing_scope", required_scope=scope)
        return access.grant.account

    def end_access(self) -> None:
        """All access tokens are over, as after `lifetime`."""
        for access in self._access.values():
            access.ends_at = 0

    def revoke(self, authorization: str) -> None:
        """The access token, its refresh token and all that came of it."""
        self._access[authorization.removeprefix("Bearer ")].grant.revoked = True

    def disconnect(self, account: str) -> None:
        """The owner takes the app off the list of connected apps."""
        for grant in self.given:
            if grant.account == account:
                grant.revoked = True

    def connected(self, account: str) -> bool:
        return any(grant.account == account and not grant.revoked for grant in self.given)


def challenge(verifier: str) -> str:
    """S256 of RFC 7636, section 4.2."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _back(query: Form, **answer: str) -> str:
    state = {"state": query["state"]} if "state" in query else {}
    uri = query["redirect_uri"]
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer | state)}"


def _wrong(error: str, description: str) -> Refused:
    return Refused(400, {"error": error, "error_description": description})
