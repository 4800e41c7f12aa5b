"""Runs of a study that are kept: gzipped TREC files, and a record of what decided each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation.pipeline.stage import write_json
from distillation.ranking import Run
from distillation.study.plan import Role
from rerank_core.errors import ArtifactError, ConfigError
from rerank_core.measures import read_run, write_run

_DIGITS = 6
"""Order as well as sixteen, in a third of the bytes."""


class Shelf:
    """A folder of runs; equal runs are equal files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def holds(self, name: str, decided_by: str) -> bool:
        """Whether the runs of `name` are here and came from what is asked for now.

        Raises `ArtifactError` where its record is no record.
        """
        path = self._record(name)
        try:
            return bool(json.loads(path.read_text(encoding="utf-8"))["decided_by"] == decided_by)
        except FileNotFoundError:
            return False
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: {error}; remove it and run its unit again") from error

    def check_teacher(self, decided_by: str, folder: str, unit: str) -> None:
        """Raises `ConfigError` where the kept teacher of these settings is not that of `folder`.

        A base goes by its name, and under the name other weights may lie by now.
        """
        path = self._record("teacher")
        if not path.is_file():
            return
        record = json.loads(path.read_text(encoding="utf-8"))
        kept = record["stages"]["teacher"]["folder"]
        if record["decided_by"] == decided_by and kept != folder:
            raise ConfigError(
                f"{unit}: was taught by {folder}, the study's teacher is {kept}; give the weights "
                "that the teacher's bases had, or begin a study of its own"
            )

    def keep(
        self, name: str, decided_by: str, runs: Mapping[Role, Run], facts: Mapping[str, Any]
    ) -> None:
        """Writes the runs, and the record last: what is half written is not held."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record(name).unlink(missing_ok=True)
        for role, run in runs.items():
            plain = self.folder / f"{name}.{role}.writing"
            rounded = {
                query: {product: round(score, _DIGITS) for product, score in rows.items()}
                for query, rows in run.items()
            }
            write_run(rounded, plain, tag=name)
            # No time of day in the header, so that equal runs are equal files.
            self._run(name, role).write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
            plain.unlink()
        write_json(self._record(name), {"decided_by": decided_by, "stages": facts})

    def read(self, name: str, role: Role) -> Run:
        """A run that is held."""
        plain = self.folder / f"{name}.{role}.reading"
        plain.write_bytes(gzip.decompress(self._run(name, role).read_bytes()))
        try:
            return read_run(plain)
        finally:
            plain.unlink()

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _run(self, name: str, role: Role) -> Path:
        return self.folder / f"{name}.{role}.trec.gz"
