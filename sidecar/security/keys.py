"""API keys: known by their hashes, with what each may do."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rerank_core.errors import ConfigError, UnauthenticatedError
from rerank_core.records import describe
from sidecar.admission.quota import Quota
from sidecar.security.caller import Caller, anonymous

_SCHEME = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_PREFIX = "rsk_"
_KEY_BYTES = 32
_MAX_KEY_CHARACTERS = 256


class _Entry(BaseModel):
    """One key in the file; revoked by deleting it and reloading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    tokens_per_s: Annotated[float, Field(gt=0)] | None = None
    burst_tokens: Annotated[float, Field(gt=0)] | None = None
    profiles: tuple[str, ...] | None = None
    admin: bool = False

    def caller(self, name: str) -> Caller:
        """Whom the key stands for."""
        quota = None
        if self.tokens_per_s is not None:
            # One second's worth, where nothing is said.
            quota = Quota(self.tokens_per_s, self.burst_tokens or self.tokens_per_s)
        return Caller(name, quota, self.profiles, self.admin)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: dict[str, _Entry]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Known keys by their hashes; none at all lets everybody in."""

    callers: tuple[tuple[bytes, Caller], ...] = ()
    required: bool = False

    def caller(self, authorization: str, address: str) -> Caller:
        """Who calls with this ``Bearer KEY``. Raises `UnauthenticatedError`."""
        if not self.required:
            return anonymous(address)
        found = _SCHEME.fullmatch(authorization)
        if found is None or len(found[1]) > _MAX_KEY_CHARACTERS:
            raise UnauthenticatedError("no API key; send it as 'authorization: Bearer KEY'")
        # All are compared, each in constant time: how long it takes tells nothing.
        digest = hash_key(found[1])
        matches = [caller for known, caller in self.callers if hmac.compare_digest(known, digest)]
        if not matches:
            raise UnauthenticatedError("the API key is not known; was it revoked?")
        return matches[0]


def hash_key(key: str) -> bytes:
    """What is kept of a key: of 256 random bits, so nobody finds it by trying, salt or none."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def read_keys(path: Path | None) -> KeyRing:
    """The keys in a file, such as `new_key` tells; None: no key is asked for.

    Raises `ConfigError` naming the fault.
    """
    if path is None:
        return KeyRing()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = _File.model_validate(content).keys
    except OSError as error:
        raise ConfigError(f"keys_file {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise ConfigError(f"keys_file {path}: {describe(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"keys_file {path}: not TOML: {error}") from error
    hashes = [entry.sha256 for entry in entries.values()]
    for name, entry in entries.items():
        if hashes.count(entry.sha256) > 1:
            raise ConfigError(f"keys_file {path}: keys.{name} is the same key as another; drop one")
    return KeyRing(
        tuple((bytes.fromhex(entry.sha256), entry.caller(name)) for name, entry in entries.items()),
        required=True,
    )


def new_key(name: str) -> tuple[str, str]:
    """A fresh key, and the lines of the keys file that let it in."""
    key = _PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return key, f'[keys."{quoted}"]\nsha256 = "{hash_key(key).hex()}"\n'
