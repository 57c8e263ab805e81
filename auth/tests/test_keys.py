import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth import keys
from auth.keys import Keys

# RFC 8037, appendix A: a key and its RFC 7638 thumbprint
RFC_PRIVATE = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def rfc_pem() -> bytes:
    jwk = {"kty": "OKP", "crv": "Ed25519", "d": RFC_PRIVATE, "x": RFC_PUBLIC}
    private = jwt.PyJWK.from_dict(jwk, algorithm="EdDSA").key
    pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def test_the_key_id_is_the_thumbprint_of_the_rfc() -> None:
    key = keys.Key.parse(rfc_pem())
    assert key.id == RFC_THUMBPRINT
    assert key.public["x"] == RFC_PUBLIC


def test_published_keys_hold_nothing_private() -> None:
    published = Keys((keys.Key.parse(rfc_pem()),)).published()
    assert [set(key) for key in published["keys"]] == [{"kty", "crv", "x", "kid", "use", "alg"}]


def test_the_first_key_signs_and_all_are_published(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"
    path.write_bytes(keys.new().encode() + b"a remark\n" + rfc_pem() + keys.new().encode())
    loaded = Keys.load(path)
    published = [key["kid"] for key in loaded.published()["keys"]]
    assert len(set(published)) == 3
    assert published[0] == loaded.signing.id
    assert published[1] == RFC_THUMBPRINT


def test_ensure_makes_a_private_file_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"
    keys.ensure(path)
    before = path.read_bytes()
    keys.ensure(path)
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_ensure_by_many_at_once_keeps_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"

    together = Barrier(8)

    def ensure(_: int) -> str:
        together.wait(timeout=10)
        keys.ensure(path)
        return Keys.load(path).signing.id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ensure, range(8)))) == 1
    assert list(tmp_path.iterdir()) == [path]


def other_kind() -> str:
    private = generate_private_key(SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("content", ["", "not a key", keys.new()[:60], other_kind()])
def test_files_without_an_ed25519_key_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.pem"
    path.write_text(content)
    with pytest.raises(ValueError, match="key"):
        Keys.load(path)
