"""An operator, an account and a user of NATS, as `nsc` would make them, and the configuration of a server."""

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

__all__ = ["make_credentials", "make_nkey"]

PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3


class Key:
    """A key of one kind."""

    def __init__(self, kind: str) -> None:
        self.signing = SigningKey.generate()
        self.kind = kind

    @property
    def public(self) -> str:
        return _encode(bytes((PREFIXES[self.kind],)) + bytes(self.signing.verify_key))

    @property
    def seed(self) -> str:
        prefix = PREFIXES[self.kind]
        return _encode(bytes((SEED | prefix >> 5, (prefix & 31) << 3)) + bytes(self.signing))


def make_nkey(folder: Path) -> tuple[Path, str]:
    """A file with a seed, and the server's configuration for it."""
    user = Key("user")
    path = folder / "user.nk"
    path.write_text(user.seed + "\n")
    return path, f"authorization {{ users = [{{ nkey: {user.public} }}] }}"


def make_credentials(folder: Path) -> tuple[Path, str]:
    """A credentials file, and the server's configuration for it."""
    operator, account, user = Key("operator"), Key("account"), Key("user")
    limits = dict.fromkeys(("subs", "data", "payload", "conn", "leaf", "imports", "exports"), -1)
    account_jwt = _token(account.public, "account", operator, {"limits": limits | {"wildcards": True}})
    user_jwt = _token(user.public, "user", account, dict.fromkeys(("subs", "data", "payload"), -1))
    path = folder / "user.creds"
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    operator_jwt = _token(operator.public, "operator", operator, {})
    (folder / "operator.jwt").write_text(operator_jwt)
    return path, (
        f"operator: {json.dumps(str(folder / 'operator.jwt'))}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {account.public}: {account_jwt} }}\n"
    )


def _token(subject: str, kind: str, issuer: Key, nats: dict[str, Any]) -> str:
    claims = {
        "iat": 1,
        "iss": issuer.public,
        "name": kind,
        "sub": subject,
        "nats": {"type": kind, "version": 2, **nats},
    }
    digest = hashlib.new("sha512_256", json.dumps(claims).encode()).digest()
    claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
    parts = [_url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)]
    return ".".join([*parts, _url(issuer.signing.sign(".".join(parts).encode()).signature)])


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _encode(raw: bytes) -> str:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")
