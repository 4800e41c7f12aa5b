"""A file that tells which port was taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rerank_core.errors import ConfigError


@contextmanager
def port_file(path: Path | None, port: int) -> Iterator[None]:
    """The port in a file for as long as it is bound. Raises `ConfigError`."""
    if path is None:
        yield
        return
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.write_text(f"{port}\n", encoding="ascii")
        # Renamed, so that whoever waits for the file never reads half of it.
        staged.replace(path)
    except OSError as error:
        raise ConfigError(f"port_file {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
