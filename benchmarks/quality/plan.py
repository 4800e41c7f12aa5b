"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from index_builder.schema import BEIR, Schema
from rerank_core.cluster.fusion import Method
from rerank_core.errors import ConfigError

LEGS = ("lexical", "vector")


@dataclass(frozen=True)
class Plan:
    """A BEIR folder, the models, and what is done with the candidates. Raises `ConfigError`."""

    data: Path
    split: str = "dev"
    encoder: str = "minilm"
    reranker: str = "student"
    schema: Schema = BEIR
    alias: str = ""
    """Whose index is searched, and must hold the folder's products; empty: one is built."""
    depth: int = 100
    """Candidates that each leg is asked for, and of the fusion, as in a profile."""
    rerank_depth: int = 0
    """Of these, how many are reranked; 0: all."""
    blend: float = 0.0
    """Share of the first stage's score in the order after the rerank."""
    depths: tuple[int, ...] = (10, 20, 50, 100, 200)
    """Of the sweep: each is a depth as above, all of it reranked, nothing blended."""
    method: Method = "rrf"
    """How legs are fused."""
    lexical_weight: float = 0.5
    """Of the lexical leg; the vector leg has the rest of 1."""
    relevant: float | None = None
    """Least grade that recall counts; None: the upper half of the scale."""
    examples: int = 8
    """Queries shown that the rerank helped most, and harmed most."""

    def __post_init__(self) -> None:
        if self.depth not in self.depths:
            raise ConfigError(f"depth {self.depth}: must be one of the sweep, {self.depths}")
        if min(self.depths) < 10:
            raise ConfigError("depths: at least 10, since the measure looks at ten")
        if not 0 <= self.rerank_depth <= self.depth:
            raise ConfigError(f"rerank_depth {self.rerank_depth}: must be 0 to {self.depth}")
        if not 0 <= self.blend <= 1:
            raise ConfigError(f"blend {self.blend}: must be 0 to 1")
        if not 0 <= self.lexical_weight <= 1:
            raise ConfigError(f"lexical_weight {self.lexical_weight}: must be 0 to 1")

    @property
    def deepest(self) -> int:
        """The most that a leg is asked for."""
        return max(self.depths)

    @property
    def weights(self) -> dict[str, float]:
        """By leg."""
        return {"lexical": self.lexical_weight, "vector": 1 - self.lexical_weight}
