"""What came of a rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord


@dataclass(frozen=True, slots=True)
class Report:
    """What the command answers, as JSON with ``--json``."""

    alias: str
    index: str
    replaced: str | None
    """The index that the alias stood for; it stays on the cluster."""
    swapped: bool
    """False where a gate failed: the alias is where it was."""
    numeric_path: str
    """What computed the vectors: search must ask with vectors of a path that agrees."""
    path_reason: str
    """Why that one."""
    documents: int
    rejected: int
    rejects_file: str | None
    """None where nothing was rejected."""
    unknown_columns: tuple[str, ...]
    """Columns that are not in the schema, so not in the index; a hundred at most."""
    resumed_from: int
    """Rows that were settled before this run; 0 where it began anew."""
    retries: int
    """Items asked for again, and requests sent again."""
    requests: int
    sent_bytes: int
    seconds: float
    documents_per_second: float
    """Of those written in this run."""
    busy_s: Mapping[str, float]
    """By stage, over its threads. They run side by side, so they may sum to more than `seconds`."""
    builder_cpu_s: float
    """Processor time of this process, which is mostly encoding."""
    cluster_cpu_s: float
    """Processor time of the cluster's nodes meanwhile, whoever asked them for it."""
    gates: tuple[GateRecord, ...]

    def lines(self) -> list[str]:
        """The report for a person."""
        stages = ", ".join(
            f"{stage} {busy_s:.1f} s ({busy_s / self.seconds:.0%})"
            for stage, busy_s in self.busy_s.items()
        )
        speed = f"{self.seconds:.1f} s, {self.documents_per_second:,.0f} a second"
        cpu = f"processor: builder {self.builder_cpu_s:.1f} s, cluster {self.cluster_cpu_s:.1f} s"
        lines = [
            f"{self.documents:,} documents: {speed}",
            f"vectors computed on {self.numeric_path}: {self.path_reason}",
            f"busy, side by side: {stages}",
            f"{cpu}; {self.requests:,} requests, {self.retries:,} retries",
        ]
        if self.rejected:
            lines.append(f"{self.rejected:,} rows rejected, with reasons: {self.rejects_file}")
        if self.unknown_columns:
            names = ", ".join(self.unknown_columns)
            lines.append(f"columns that are not in the schema, so not in the index: {names}")
        before = f"; {self.replaced} stays" if self.replaced else ""
        if self.swapped:
            lines.append(f"alias {self.alias} stands for {self.index}{before}")
        else:
            failed = ", ".join(gate.name for gate in self.gates if gate.verdict == "failed")
            lines.append(f"alias {self.alias} was not touched: failed {failed}")
        return lines


def server_cpu_s(client: OpenSearch) -> float:
    """Processor time that the cluster's nodes have used. Raises `ClusterError`."""
    with cluster_errors("asking the nodes for their processor time"):
        nodes = client.nodes.stats(metric="process")["nodes"].values()
    return sum(float(node["process"]["cpu"]["total_in_millis"]) for node in nodes) / 1000
