"""Which numeric path an encoder gets on this machine, and the proof that it computes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from rerank_core.engine.graph import EncoderGraph, classifier_graph, embedding_graph
from rerank_core.engine.native import NativePath
from rerank_core.engine.onnx_path import OnnxPath
from rerank_core.engine.path import NumericPath
from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import Weights
from rerank_core.errors import ConfigError, SetupError
from rerank_core.text import PackedTokens

PathChoice = Literal["auto", "native", "onnxruntime"]
"""auto: the native kernel where it runs and passes its test, ONNX Runtime otherwise."""

CHOICE_VARIABLE = "RERANK_NUMERIC_PATH"

# The reference, until int8 is shown to keep the quality of what is shipped: docs/decisions/0002.
_DEFAULT = "onnxruntime"

# int8 is within a few percent of fp32 on real models; a kernel that is wrong is off by the
# outputs' own size.
_TOLERATED_ERROR = 0.3
_SAMPLE_LENGTHS = (4, 9, 17, 26, 33, 40, 64, 100)


@dataclass(frozen=True)
class LoadedPath:
    """A path, and why it is this one."""

    path: NumericPath
    reason: str
    fallback: bool
    """The native kernel was wanted and is not what runs: worth a warning."""


def chosen_path() -> PathChoice:
    """The choice in the environment variable RERANK_NUMERIC_PATH, onnxruntime without one.

    Raises `ConfigError` for a word that is none.
    """
    choice = os.environ.get(CHOICE_VARIABLE, _DEFAULT)
    for known in get_args(PathChoice):
        if choice == known:
            return known  # type: ignore[no-any-return]  # get_args forgets the literal
    raise ConfigError(
        f"{CHOICE_VARIABLE} is {choice!r}; it may be {', '.join(get_args(PathChoice))}"
    )


def load_path(
    weights: Weights,
    shape: BertShape,
    pooling: Pooling | None,
    choice: PathChoice = "auto",
) -> LoadedPath:
    """A classifier, or with `pooling` vectors of unit length, on the best path that works here.

    The native kernel is compared with fp32 on a built-in sample first. Under ``native`` a kernel
    that is missing, refuses the model or fails the test raises `SetupError`.
    """
    reference = OnnxPath(encoder_graph(weights, shape, pooling))
    if choice == "onnxruntime":
        return LoadedPath(reference, "ONNX Runtime was asked for", fallback=False)
    try:
        native = NativePath(weights, shape, pooling)
        error = _tested_error(native, reference, shape)
    except SetupError as problem:
        if choice == "native":
            raise
        return LoadedPath(reference, f"ONNX Runtime in place of native: {problem}", fallback=True)
    return LoadedPath(
        native,
        f"native kernel on {native.instruction_set}, within {error:.1%} of fp32 on "
        "the built-in sample",
        fallback=False,
    )


def _tested_error(native: NativePath, reference: NumericPath, shape: BertShape) -> float:
    error = relative_error(native, reference, shape)
    if not error <= _TOLERATED_ERROR:  # NaN must not pass
        raise SetupError(
            f"on the built-in sample the native kernel ({native.instruction_set}) is off fp32 by "
            f"{error:.0%} of the outputs' size"
        )
    return error


def encoder_graph(weights: Weights, shape: BertShape, pooling: Pooling | None) -> EncoderGraph:
    """The graph of a classifier, or with `pooling` that of vectors."""
    if pooling is None:
        return classifier_graph(weights, shape)
    return embedding_graph(weights, shape, pooling)


def relative_error(path: NumericPath, reference: NumericPath, shape: BertShape) -> float:
    """Root mean square difference on the built-in sample, relative to the reference's outputs."""
    sample = _sample(shape)
    rows = [sample.rows(np.array([row])) for row in range(len(sample))]
    wanted = np.concatenate([reference.forward(row) for row in rows]).astype(np.float64)
    found = path.forward(sample).astype(np.float64)
    size = max(float(np.sqrt((wanted**2).mean())), 1e-30)
    return float(np.sqrt(((found - wanted) ** 2).mean())) / size


def _sample(shape: BertShape) -> PackedTokens:
    """Rows of fixed ids over the whole vocabulary."""
    random = np.random.default_rng(20)
    lengths = [min(length, shape.positions) for length in _SAMPLE_LENGTHS]
    rows = [random.integers(0, shape.vocabulary, length).tolist() for length in lengths]
    return PackedTokens.pack(rows, None if shape.token_types < 2 else 3)
