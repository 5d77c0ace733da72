"""API keys: the text that a caller shows, and what is kept of it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

SCOPES = ("sample", "admin")
_TOKEN = re.compile(r"shp_([0-9a-f]{12})_([\w-]{43})", re.ASCII)
_N, _R, _P = 2**14, 8, 1  # 16 MB and about 50 ms


@dataclass(frozen=True)
class Key:
    """One key, without its secret.

    Attributes:
        id: Its public part; names the caller in logs, quotas and jobs.
        name: Whose it is, in the words of who made it.
        scopes: What it may do: `sample`, `admin` (metrics and stats).
        digest: Salted scrypt hash of the secret, with its parameters.
        created: When, UTC.
        expires: When it stops being good, UTC; None is never.
        revoked: When it was taken back, UTC; None if it was not.
        requests_per_minute: Sampling requests; 0 is no limit, None what the settings say.
        conformers_per_hour: Conformers asked for; likewise.
    """

    id: str
    name: str
    scopes: frozenset[str]
    digest: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    requests_per_minute: int | None = None
    conformers_per_hour: int | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it is good."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


def make_key(
    name: str,
    scopes: frozenset[str] = frozenset({"sample"}),
    expires: datetime | None = None,
    requests_per_minute: int | None = None,
    conformers_per_hour: int | None = None,
) -> tuple[Key, str]:
    """A new key, and the text to give to its owner, which nobody can make again."""
    name_part, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = Key(
        name_part, name, scopes, hash_secret(secret), datetime.now(UTC), expires, None, requests_per_minute,
        conformers_per_hour,
    )  # fmt: skip
    return key, f"shp_{name_part}_{secret}"


def split_token(token: str) -> tuple[str, str] | None:
    """Id and secret of what a caller shows, or None if it does not look like a key."""
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def hash_secret(secret: str) -> str:
    """Salted scrypt hash (RFC 7914), with its parameters."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${b64encode(salt).decode()}${b64encode(_scrypt(secret, salt, _N, _R, _P)).decode()}"


def is_secret(secret: str, digest: str) -> bool:
    """Whether a secret has this hash; takes as long whatever the answer is."""
    _, n, r, p, salt, expected = digest.split("$")
    return hmac.compare_digest(_scrypt(secret, b64decode(salt), int(n), int(r), int(p)), b64decode(expected))


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)
