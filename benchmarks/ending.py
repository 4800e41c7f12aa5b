"""How every command of `python -m benchmarks` ends: exit codes, and where it writes.

0; 1: failed; 2: an option, the data or a model must be mended; 3: slower than allowed; 4: the
cluster; 5: undecided; 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from rerank_core.errors import ClusterError, ConfigError, InputError, RerankError, SetupError

DATA = "RERANK_DATA"
FIRST_SET = "icecat"
MEND, SLOWER, CLUSTER, UNDECIDED, INTERRUPTED = 2, 3, 4, 5, 130

_WIDTH_IN_A_FILE = 160


def console() -> Console:
    """For answers, on stdout."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_FILE)


def notes() -> Console:
    """For progress and errors, on stderr."""
    return Console(stderr=True)


@contextmanager
def told_errors() -> Iterator[None]:
    """Ends the command with the exit code of an error, its message on stderr."""
    try:
        yield
    except RerankError as error:
        notes().print(f"benchmarks: {error}", markup=False, soft_wrap=True)
        if isinstance(error, SetupError | InputError):
            code = MEND
        else:
            code = CLUSTER if isinstance(error, ClusterError) else 1
        raise typer.Exit(code) from error
    except KeyboardInterrupt as interrupt:
        notes().print("benchmarks: interrupted")
        raise typer.Exit(INTERRUPTED) from interrupt


def data_root() -> Path:
    """The folder of BEIR folders that the environment names. Raises `ConfigError`."""
    root = os.environ.get(DATA)
    if not root:
        raise ConfigError(
            f"no data: name a BEIR folder, or set {DATA}; "
            "python -m demo make-catalogue FOLDER makes one up"
        )
    return Path(root)


def data_of_environment() -> Path:
    """One BEIR folder: the first set in the root, else the root. Raises `ConfigError`."""
    first = data_root() / FIRST_SET
    return first if first.is_dir() else data_root()
