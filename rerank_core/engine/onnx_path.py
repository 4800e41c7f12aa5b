"""Forward passes on ONNX Runtime, in batches of equally long rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from rerank_core.engine.external_data import check_external_data
from rerank_core.engine.graph import INPUTS, EncoderGraph
from rerank_core.engine.path import Rows
from rerank_core.engine.shape import Pooling
from rerank_core.errors import ArtifactError
from rerank_core.text import PackedTokens

# Enough to fill the matrix kernels, small enough to stay in cache and to stop soon at a deadline.
_UNIT_TOKENS = 1024

# Of 128 texts several have each length; more would keep the first scores waiting.
FIRST_ROWS, PART_ROWS = 16, 128

CPU = "CPUExecutionProvider"


class OnnxPath:
    """An encoder as a graph built from its weights; fp32 without further words."""

    def __init__(
        self, graph: EncoderGraph, name: str = "onnxruntime-fp32", *, deterministic: bool = False
    ) -> None:
        self.columns = graph.columns
        self.name = name
        self.deterministic = deterministic
        self.first_rows, self.part_rows = FIRST_ROWS, PART_ROWS
        self._session = make_session(graph)

    def plan(self, tokens: PackedTokens) -> list[Rows]:
        """Units of equally long rows."""
        return equal_length_units(tokens.lengths)

    def forward(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """Outputs of equally long rows, shape ``(rows, columns)``."""
        (output,) = self._session.run(None, feed(tokens))
        return np.asarray(output, np.float32)


class ExportedOnnxPath:
    """An encoder as somebody exported it to `onnx/model.onnx`.

    Inputs by the usual names (input_ids, attention_mask, token_type_ids); the first output is
    logits ``(rows, labels)`` or hidden states ``(rows, tokens, width)``, which `pooling` makes
    into vectors of unit length.
    """

    name = "onnxruntime-exported"
    deterministic = False
    first_rows, part_rows = FIRST_ROWS, PART_ROWS

    def __init__(self, path: Path, pooling: Pooling | None) -> None:
        """Raises `ArtifactError` where the file is no model of this kind; two rows are tried."""
        check_external_data(path)
        self._pooling = pooling
        self._session = _session(str(path), _options())
        self._inputs = [item.name for item in self._session.get_inputs()]
        unknown = set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown:
            raise ArtifactError(
                f"{path}: unknown inputs {sorted(unknown)}; export the encoder alone"
            )
        rank = len(self._session.get_outputs()[0].shape)
        if rank != (2 if pooling is None else 3):
            raise ArtifactError(
                f"{path}: first output has {rank} axes; a cross-encoder gives logits (2), "
                "a bi-encoder hidden states (3)"
            )
        try:
            # Some two rows of an odd length, so that an export with fixed axes shows.
            self.columns = self.forward(PackedTokens.pack([[0] * 7] * 2)).shape[1]
        except Exception as error:  # onnxruntime raises many kinds, all of them here about the file
            raise ArtifactError(
                f"{path}: cannot compute two rows of 7 tokens, export it with dynamic axes: {error}"
            ) from error

    def plan(self, tokens: PackedTokens) -> list[Rows]:
        """Units of equally long rows."""
        return equal_length_units(tokens.lengths)

    def forward(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """Outputs of equally long rows, shape ``(rows, columns)``."""
        ids, type_ids = rectangles(tokens)
        given = {
            "input_ids": ids.astype(np.int64),
            "attention_mask": np.ones(ids.shape, np.int64),
            "token_type_ids": type_ids.astype(np.int64),
        }
        (output, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        hidden: npt.NDArray[np.float32] = np.asarray(output, np.float32)
        if self._pooling is None:
            return hidden
        vectors = hidden[:, 0] if self._pooling == "cls" else hidden.mean(axis=1)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: npt.NDArray[np.float32] = vectors / lengths
        return unit


def equal_length_units(
    lengths: npt.NDArray[np.int64], unit_tokens: int = _UNIT_TOKENS
) -> list[Rows]:
    """Splits rows into units of one length and at most `unit_tokens` (or one row).

    Units are in the order of their first row, so that a deadline cuts the hits that the first
    stage ranked last.
    """
    units: list[Rows] = []
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        step = max(1, unit_tokens // int(length))
        units.extend(rows[start : start + step] for start in range(0, len(rows), step))
    return sorted(units, key=lambda rows: int(rows[0]))


def rectangles(
    tokens: PackedTokens,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Ids and type ids of equally long rows, each ``(rows, tokens)``."""
    shape = (len(tokens), -1)
    return tokens.ids.reshape(shape), tokens.type_ids.reshape(shape)


def feed(tokens: PackedTokens) -> dict[str, npt.NDArray[np.int32]]:
    """Inputs of an `EncoderGraph` for equally long rows."""
    ids, type_ids = rectangles(tokens)
    positions = np.arange(ids.shape[1], dtype=np.int32)
    return dict(zip(INPUTS, (ids, type_ids, positions), strict=True))


def make_session(graph: EncoderGraph, provider: str = CPU) -> ort.InferenceSession:
    """A session on one provider. It takes copies of the weights: the graph may end with the call.

    Raises `ArtifactError` where ONNX Runtime refuses the graph.
    """
    options = _options()
    names = list(graph.initializers)
    values = [ort.OrtValue.ortvalue_from_numpy(graph.initializers[name]) for name in names]
    options.add_external_initializers(names, values)
    return _session(graph.model.SerializeToString(), options, provider)


def _options() -> ort.SessionOptions:
    """One thread a call: the engine's workers are the threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _session(
    model: bytes | str, options: ort.SessionOptions, provider: str = CPU
) -> ort.InferenceSession:
    try:
        session = ort.InferenceSession(
            model,
            options,
            providers=[provider],
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime raises many kinds, all of them here about the model
        where = model if isinstance(model, str) else "the graph built from the weights"
        raise ArtifactError(f"{where}: ONNX Runtime refuses it: {error}") from error
    # Its way out of a failed run is to build the session again, from weights that are gone.
    session.disable_fallback()
    return session
