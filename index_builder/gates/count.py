"""Nothing lost on the way, and not half a feed."""

from __future__ import annotations

from rerank_core.cluster.release import GateRecord


def count_gate(accepted: int, counted: int) -> GateRecord:
    """Every accepted document is there, and no other: accepted are rows less rejected ones."""
    return GateRecord(
        "count",
        "passed" if counted == accepted else "failed",
        counted,
        accepted,
        f"{accepted:,} rows were accepted, the index counts {counted:,} documents"
        + ("" if counted == accepted else "; does something else write to it?"),
    )


def ratio_gate(counted: int, live: int | None, least: float) -> GateRecord:
    """At least this share of the live index's documents."""
    if not live:
        return GateRecord("ratio to live", "not run", None, least, "no live index with documents")
    ratio = counted / live
    return GateRecord(
        "ratio to live",
        "passed" if ratio >= least else "failed",
        ratio,
        least,
        f"{counted:,} documents, the live index has {live:,}"
        + ("" if ratio >= least else "; if that is meant, say --min-ratio-to-live"),
    )
