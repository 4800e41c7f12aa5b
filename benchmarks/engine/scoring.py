"""The engine's paths, and the way a request passes through the real engine on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar, get_args

import numpy as np
import numpy.typing as npt

from benchmarks.engine.workload import Request, Workload
from benchmarks.results import Absent
from rerank_core.artifact import Artifact
from rerank_core.engine import BiEncoder, CrossEncoder, Engine, Product
from rerank_core.engine.selection import PathChoice
from rerank_core.errors import ScoringError, SetupError
from rerank_core.text import PackedTokens

Logits = npt.NDArray[np.float32]
REFERENCE: PathChoice = "onnxruntime"
"""The choice whose scores are right by definition: our fp32."""

_Loaded = TypeVar("_Loaded", CrossEncoder, BiEncoder)


def load_paths(
    artifact: Artifact, load: Callable[[Artifact, PathChoice], _Loaded]
) -> tuple[dict[PathChoice, _Loaded], list[Absent]]:
    """The model on every path there is a choice for; what cannot be had, with its reason.

    Raises `SetupError` where not even our fp32 can.
    """
    models: dict[PathChoice, _Loaded] = {}
    absent = []
    for choice in get_args(PathChoice):
        if choice == "auto":  # one of the others
            continue
        try:
            models[choice] = load(artifact, choice)
        except SetupError as error:
            if choice == REFERENCE:
                raise
            # A result names no folder of the machine it comes from.
            reason = str(error).replace(str(artifact.folder), artifact.manifest.name)
            absent.append(Absent(choice, reason))
    return models, absent


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenisedCrossEncoder(CrossEncoder):
    """A cross-encoder whose products are numbers of rows that were tokenised before."""

    rows: Mapping[str, PackedTokens]
    """By query."""

    def composer(self, query: str) -> Callable[[Sequence[Product]], PackedTokens]:
        """Looks rows up; nothing is tokenised."""
        tokens = self.rows[query]
        return lambda products: tokens.rows(np.array([int(str(item)) for item in products]))


def tokenised(model: CrossEncoder, workload: Workload) -> TokenisedCrossEncoder:
    """The model, with the requests of a workload as their rows."""
    rows = {request.query: request.tokens for request in workload.requests}
    same = {item.name: getattr(model, item.name) for item in fields(model)}
    return TokenisedCrossEncoder(**same, rows=rows)


def score_rows(engine: Engine, model: TokenisedCrossEncoder, request: Request) -> Logits:
    """Logits ``(candidates,)`` of a request that is tokenised already."""
    return _gather(engine, model, request, [str(row) for row in range(len(request.texts))])


def score_texts(engine: Engine, model: CrossEncoder, request: Request) -> Logits:
    """Logits ``(candidates,)``, tokenising included."""
    return _gather(engine, model, request, request.texts)


def _gather(
    engine: Engine, model: CrossEncoder, request: Request, products: Sequence[str]
) -> Logits:
    scores = np.full(len(products), np.nan, np.float32)
    for place, logit in engine.submit(model, request.query, products):
        scores[place] = logit
    if np.isnan(scores).any():
        raise ScoringError(f"{model.numeric_path}: some candidates got no score")
    return scores
