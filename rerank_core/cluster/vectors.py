"""How an index holds and searches vectors, in words of neither engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

VectorEngine = Literal["lucene", "faiss"]
VectorType = Literal["float", "fp16", "byte", "on-disk"]
Space = Literal["cosine", "innerproduct", "l2"]


@dataclass(frozen=True)
class VectorField:
    """The field ``vector``; read from ``[vector]`` of a schema file."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    engine: VectorEngine = "lucene"
    type: VectorType = "float"
    """How a number is kept: float (4 bytes), fp16 (2, faiss), byte (1, quantised by the engine), or
    on-disk (the engine's most compact form in memory, the whole vector on disk)."""
    space: Space = "cosine"
    """Vectors have unit length, so all three give the same order."""
    m: int = 16
    """Neighbours a node of the graph has."""
    ef_construction: int = 100
    """How many candidates are looked at for each new node."""

    def __post_init__(self) -> None:
        # ValueError, which reading a file turns into a `ConfigError` with the path to the fault.
        if not 2 <= self.m <= 512:
            raise ValueError(f"m must be 2 to 512, it is {self.m}")
        if not 2 <= self.ef_construction <= 3200:
            raise ValueError(f"ef_construction must be 2 to 3200, it is {self.ef_construction}")
