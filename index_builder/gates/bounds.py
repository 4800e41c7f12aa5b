"""What the gates hold the fresh index against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rerank_core.errors import ConfigError

RECALL_QUERIES = 200
"""Fewer say too little: at recall .97 the bound is then some .01 below the mean."""


@dataclass(frozen=True)
class GateBounds:
    """Bounds, and by which queries they are looked for. Raises `ConfigError`."""

    min_ratio_to_live: float = 0.9
    """Documents of the fresh index by those of the live one: half a feed is not swapped in."""
    min_recall: float = 0.95
    """Of the approximate search, lower end of its 95 % interval."""
    recall_k: int = 10
    """Neighbours that are compared."""
    depth: int = 100
    """Candidates that searches ask the vector leg for, as in the sidecar's profile. For the lucene
    engine this is ef_search."""
    queries: Path | None = None
    """Real ones: a BEIR folder, JSONL with ``text``, or a line each. None: the catalogue's own
    BEIR folder, else titles of the index."""
    judged: Path | None = None
    """BEIR folder: its nDCG@10 must not fall below the live index's."""
    judged_split: str = "dev"
    max_ndcg_loss: float = 0.0
    vector_sample: int = 64
    health_wait_s: float = 600.0
    """For copies that are being made; a large index takes longer."""

    def __post_init__(self) -> None:
        for name in ("min_ratio_to_live", "min_recall"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: must be 0 to 1, it is {getattr(self, name)}")
        if self.health_wait_s < 0:
            raise ConfigError(f"health_wait_s: must be 0 or more, it is {self.health_wait_s:g}")
        if not 1 <= self.recall_k <= self.depth <= 10_000:
            raise ConfigError(
                f"recall_k {self.recall_k} must be 1 to depth {self.depth}, and that 10,000 at most"
            )
