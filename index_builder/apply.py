"""Changes written to the live index."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from index_builder.changes import ChangeFile, Writing
from index_builder.inputs import Files
from index_builder.plan import Plan, prepare
from index_builder.progress import Progress
from index_builder.rejects import Rejects
from index_builder.update import check_same
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What came of it."""

    alias: str
    index: str
    applied: int
    rejected: int
    rejects_file: str | None
    seconds: float

    def lines(self) -> list[str]:
        """For a person."""
        lines = [f"{self.index}: {self.applied:,} changes after {self.seconds:.1f} s"]
        if self.rejected:
            lines.append(f"{self.rejected:,} rejected, with reasons: {self.rejects_file}")
        return lines


def apply_changes(
    plan: Plan, client: OpenSearch, settings: ClusterSettings, progress: Progress
) -> ApplyReport:
    """Replays the plan's changes on the index behind the alias; new text is encoded.

    Needs no lock: a rebuild that runs replays the same file. Raises as a rebuild does.
    """
    started_s = time.monotonic()
    if plan.changes is None:
        raise ConfigError("no file of changes is named")
    prepared = prepare(plan, client, Files((plan.changes,)))
    index, release = resolve_alias(client, plan.alias)
    check_same(index, release, prepared)
    with Rejects(plan.rejects or Path(f"{index}.changes.rejects.jsonl")) as rejects:
        writing = Writing(
            client,
            settings,
            prepared.dialect,
            prepared.encoder,
            prepared.content,
            prepared.composer(),
        )
        changes = ChangeFile(plan.changes, writing, rejects.add)
        changes.replay(index)
        progress.note(f"{changes.applied:,} changes applied to {index}")
        return ApplyReport(
            alias=plan.alias,
            index=index,
            applied=changes.applied,
            rejected=rejects.count,
            rejects_file=str(rejects.path) if rejects.count else None,
            seconds=time.monotonic() - started_s,
        )
