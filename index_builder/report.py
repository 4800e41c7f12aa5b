"""What came of a rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """The last line of the command's output, as JSON."""

    alias: str
    index: str
    replaced: str | None
    """The index that the alias stood for; it stays on the cluster."""
    documents: int
    rejected: int
    rejects_file: str | None
    """None where nothing was rejected."""
    unknown_columns: tuple[str, ...]
    """Columns that are not in the schema, so not in the index; a hundred at most."""
    seconds: float
    documents_per_second: float
    busy_s: Mapping[str, float]
    """By stage; stages overlap, so they may sum to more than `seconds`."""

    def lines(self) -> list[str]:
        """The report for a person."""
        stages = ", ".join(
            f"{stage} {busy_s:.1f} s ({busy_s / self.seconds:.0%})"
            for stage, busy_s in self.busy_s.items()
        )
        speed = f"{self.seconds:.1f} s, {self.documents_per_second:,.0f} a second"
        lines = [f"{self.documents:,} documents: {speed}", f"busy, side by side: {stages}"]
        if self.rejected:
            lines.append(f"{self.rejected:,} rows rejected, with reasons: {self.rejects_file}")
        if self.unknown_columns:
            names = ", ".join(self.unknown_columns)
            lines.append(f"columns that are not in the schema, so not in the index: {names}")
        before = f"; {self.replaced} stays" if self.replaced else ""
        lines.append(f"alias {self.alias} stands for {self.index}{before}")
        return lines
