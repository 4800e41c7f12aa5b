"""What the server goes by at the moment; a reload puts another in its place."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.config import Settings
from sidecar.security.keys import KeyRing, read_keys
from sidecar.security.tls import Certificates, read_certificates


@dataclass(frozen=True, slots=True)
class Standing:
    """Settings, and what is in the files they name."""

    settings: Settings
    keys: KeyRing
    certificates: Certificates | None

    @classmethod
    def read(cls, settings: Settings) -> Standing:
        """Raises `ConfigError` where a file is at fault."""
        return cls(settings, read_keys(settings.keys_file), read_certificates(settings.tls))


class Live:
    """Holds the standing of the moment, so that all of it changes at once."""

    def __init__(self, standing: Standing) -> None:
        self.standing = standing

    @property
    def settings(self) -> Settings:
        """The settings of the moment."""
        return self.standing.settings
