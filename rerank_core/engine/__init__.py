"""From a model and texts to logits or vectors: one work queue, several numeric paths."""

from rerank_core.engine.cores import usable_cores
from rerank_core.engine.cost import CostModel, makespan_ms
from rerank_core.engine.engine import Engine, Vectors
from rerank_core.engine.model import (
    BiEncoder,
    CrossEncoder,
    Model,
    Product,
    load_bi_encoder,
    load_cross_encoder,
    tell,
)
from rerank_core.engine.path import parts
from rerank_core.engine.queue import Priority
from rerank_core.engine.selection import CHOICE_VARIABLE, chosen_path, path_choice
from rerank_core.engine.stream import Ended, Scored, ScoreStream
from rerank_core.engine.times import WorkTimes

__all__ = [
    "CHOICE_VARIABLE",
    "BiEncoder",
    "CostModel",
    "CrossEncoder",
    "Ended",
    "Engine",
    "Model",
    "Priority",
    "Product",
    "ScoreStream",
    "Scored",
    "Vectors",
    "WorkTimes",
    "chosen_path",
    "load_bi_encoder",
    "load_cross_encoder",
    "makespan_ms",
    "parts",
    "path_choice",
    "tell",
    "usable_cores",
]
