"""The Ed25519 keys that sign tokens: a PEM file of private keys, of which the first signs and all are published."""

import base64
import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import OKPAlgorithm

_BLOCK = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Key:
    id: str
    """RFC 7638 thumbprint of the public half."""
    private: Ed25519PrivateKey
    public: dict[str, Any]
    """As a JWK, RFC 8037."""

    @classmethod
    def parse(cls, pem: bytes) -> Self:
        """Raises ValueError unless it is an Ed25519 private key without a password."""
        private = load_pem_private_key(pem, password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("the key is not an Ed25519 key")
        jwk = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        kid = _thumbprint(jwk)
        return cls(kid, private, {**jwk, "kid": kid, "use": "sig", "alg": "EdDSA"})


@dataclass(frozen=True)
class Keys:
    all: tuple[Key, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises OSError if the file cannot be read, ValueError if it holds no key or one that is not Ed25519."""
        keys = tuple(Key.parse(block) for block in _BLOCK.findall(path.read_bytes()))
        if not keys:
            raise ValueError("the file holds no private key")
        return cls(keys)

    @property
    def signing(self) -> Key:
        return self.all[0]

    def published(self) -> dict[str, Any]:
        """The JWK set, RFC 7517."""
        return {"keys": [key.public for key in self.all]}


def new() -> str:
    """A new private key as PEM (PKCS 8)."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def ensure(path: Path) -> None:
    """Makes the file with one new key at mode 0600 if there is none. Whoever else does so at once, one key is kept."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new())
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)  # unlike a rename, never replaces a file that came first
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _thumbprint(jwk: dict[str, Any]) -> str:
    needed = {name: jwk[name] for name in ("crv", "kty", "x")}
    digest = hashlib.sha256(json.dumps(needed, separators=(",", ":"), sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
