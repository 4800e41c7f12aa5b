"""A stage's folder: named by what decides its content, done once, resumed after a kill."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from distillation.machine import environment
from rerank_core.errors import ArtifactError, NotFoundError
from rerank_core.hashing import hash_file, hash_json

MANIFEST = "manifest.json"
_LOCK = ".lock"
_CHECKPOINT = "checkpoint.pt"
_PARTIAL = (_CHECKPOINT, _LOCK, MANIFEST)
"""What a stage leaves behind that is no output."""


@dataclass(frozen=True)
class Finished:
    """A stage that is done."""

    name: str
    folder: Path
    manifest: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the stage found out, as JSON values."""
        found: Mapping[str, Any] = self.manifest["facts"]
        return found

    @property
    def identity(self) -> str:
        """Hash of what decided it and of what came out."""
        return hash_json([self.manifest["key"], self.manifest["outputs"]])


@dataclass(frozen=True)
class Order:
    """A stage to be done: everything that decides its outcome."""

    name: str
    settings: Any
    """Plain JSON values."""
    inputs: Mapping[str, Finished]
    format: int = 1
    """Raised by code that would give other results for the same settings."""

    @property
    def key(self) -> str:
        """64 hex digits; equal orders have equal results."""
        inputs = {name: one.identity for name, one in self.inputs.items()}
        return hash_json([self.name, self.format, self.settings, inputs])


def do(
    order: Order,
    out: Path,
    work: Callable[[Path], Mapping[str, Any]],
    show: Console,
    *,
    only_done: bool = False,
) -> Finished:
    """The stage's folder under `out`, done now unless it was done before.

    `work` gets the folder, which may hold what a killed run left, writes its outputs there and
    returns facts for the manifest. A second process that asks for the same stage waits. Raises
    `ArtifactError` where an output is not what the manifest says, and, with `only_done`,
    `NotFoundError` instead of doing anything.
    """
    folder = folder_of(order, out)
    if only_done and not is_done(order, out):
        raise NotFoundError("finished stage", folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if (folder / MANIFEST).is_file():
            show.print(f"[dim]{order.name}: done before, {folder.name}[/]", highlight=False)
            return open_stage(folder)
        show.print(f"[bold]{order.name}[/]: {folder.name}", highlight=False)
        started, clock = datetime.now(UTC), time.monotonic()
        facts = dict(work(folder))
        manifest = {
            "stage": order.name,
            "format": order.format,
            "key": order.key,
            "settings": order.settings,
            "inputs": {
                name: {"folder": one.folder.name, "identity": one.identity}
                for name, one in order.inputs.items()
            },
            "outputs": _outputs(folder),
            "facts": facts,
            "environment": environment(),
            "finished_by_run_started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
        }
        write_json(folder / MANIFEST, manifest)
        for path in folder.rglob(_CHECKPOINT):  # of use to a killed run alone
            path.unlink()
    return open_stage(folder)


def is_done(order: Order, out: Path) -> bool:
    """Whether the stage lies under `out`, finished."""
    return (folder_of(order, out) / MANIFEST).is_file()


def folder_of(order: Order, out: Path) -> Path:
    """Where a stage lies, or will."""
    return out / f"{order.name}-{order.key[:12]}"


def open_stage(folder: Path) -> Finished:
    """A stage that is done, its outputs compared. Raises `ArtifactError`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}; run the stage anew") from error
    for name, value in manifest["outputs"].items():
        path = folder / name
        if not path.is_file() or hash_file(path) != value:
            raise ArtifactError(f"{path}: not what the stage wrote; remove {folder} and run again")
    return Finished(manifest["stage"], folder, manifest)


def lineage(stage: Finished) -> dict[str, Any]:
    """The manifests that lead from a stage back to the data, by folder name."""
    found: dict[str, Any] = {stage.folder.name: dict(stage.manifest)}
    for one in stage.manifest["inputs"].values():
        found |= lineage(open_stage(stage.folder.parent / one["folder"]))
    return found


def write_json(path: Path, value: Any) -> None:
    """Beside and renamed, so that a kill leaves the old file or the new one."""
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    staged.replace(path)


def _outputs(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    kept = [name for name in names if Path(name).name not in _PARTIAL and "events/" not in name]
    return {name: hash_file(folder / name) for name in kept}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
