"""What an alias may be called."""

from __future__ import annotations

import re

from rerank_core.errors import ConfigError

_ALIAS = re.compile(r"[a-z0-9][a-z0-9_.-]{0,199}")


def check_alias(alias: str) -> None:
    """Raises `ConfigError` for what cannot be one alias, such as a wildcard or a list."""
    if not _ALIAS.fullmatch(alias):
        raise ConfigError(
            f"alias {alias!r}: 1 to 200 lower-case letters, digits, '_', '.' and '-', "
            "beginning with a letter or digit"
        )
