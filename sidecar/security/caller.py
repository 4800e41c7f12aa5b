"""Who calls."""

from __future__ import annotations

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

from rerank_core.errors import ForbiddenError
from sidecar.admission.quota import Quota


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a call is counted for."""

    name: str
    """The key's, or the peer's address where there are no keys."""
    quota: Quota | None = None
    profiles: tuple[str, ...] | None = None
    """Those it may search; None: all."""
    admin: bool = False
    """May reload and roll back."""

    def may_search(self, profile: str) -> bool:
        """Whether it may search that profile."""
        return self.profiles is None or profile in self.profiles

    def check_profile(self, profile: str) -> None:
        """Raises `ForbiddenError` where it may not search that profile."""
        if not self.may_search(profile):
            raise ForbiddenError(
                f"key {self.name!r} may not search profile {profile!r}; "
                "the server's owner can add it to the key"
            )

    def check_admin(self) -> None:
        """Raises `ForbiddenError` where it may not change the server."""
        if not self.admin:
            raise ForbiddenError(
                "this needs a key with admin = true, or a call from the machine itself where the "
                "server has no keys"
            )


current_caller: ContextVar[Caller] = ContextVar("current_caller")
"""Of the call that is being answered."""


@lru_cache(1024)  # for every call, and addresses are few
def anonymous(address: str) -> Caller:
    """A caller where there are no keys; the machine itself may do everything."""
    try:
        local = ipaddress.ip_address(address).is_loopback
    except ValueError:
        local = address == "unix"
    return Caller(address, admin=local)
