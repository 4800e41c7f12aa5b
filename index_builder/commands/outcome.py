"""How a command ends: its answer, its message, its exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

import typer
from rich.console import Console

from index_builder.interrupts import Terminated, sigterm_interrupts
from index_builder.progress import Progress
from rerank_core import records
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterError, InputError, RerankError, SetupError

VERDICT = 5
_INTERRUPTED, _TERMINATED = 130, 143
_EXIT_CODES = {SetupError: 2, InputError: 3, ClusterError: 4}
# The refresh of a large index takes longer than a search.
_TIMEOUT_S = 300.0


@contextmanager
def ending() -> Iterator[Progress]:
    """Turns errors and interrupts of the block into a message and an exit code."""
    progress = Progress(Console(stderr=True))
    try:
        with sigterm_interrupts():
            yield progress
    except RerankError as error:
        progress.close()
        _say(progress, str(error), error)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as interrupt:
        progress.close()
        _say(progress, "interrupted", interrupt)
        code = _TERMINATED if isinstance(interrupt, Terminated) else _INTERRUPTED
        raise typer.Exit(code) from interrupt
    finally:
        progress.close()


def _say(progress: Progress, what: str, error: BaseException) -> None:
    """With its notes: what was done about it."""
    for line in [f"index_builder: {what}", *getattr(error, "__notes__", [])]:
        progress.note(line)


def exit_code(error: RerankError) -> int:
    """By the kind of the error, as the help says."""
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), 1)


def cluster_settings() -> ClusterSettings:
    """The environment's. Raises `ConfigError`."""
    return replace(ClusterSettings.from_environment(), timeout_s=_TIMEOUT_S)


def answer(value: Any, lines: list[str], *, as_json: bool) -> None:
    """The command's answer on stdout."""
    text = json.dumps(records.to_json(value)) if as_json else "\n".join(lines)
    sys.stdout.write(f"{text}\n" if text else "")


def failed_verdict() -> NoReturn:
    """The command did its work, and what it found is not good."""
    raise typer.Exit(VERDICT)
