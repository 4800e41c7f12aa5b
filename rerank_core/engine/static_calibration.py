"""The ranges that static int8 needs: measured on rows as they are served, kept with the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from rerank_core.artifact import Artifact, seal_artifact
from rerank_core.engine.graph import EncoderGraph, GraphBuilder, dense, encoder_graph
from rerank_core.engine.onnx_path import equal_length_units, feed, make_session
from rerank_core.engine.shape import BertShape, Pooling, check_output, read_pooling, read_shape
from rerank_core.engine.static_graph import Ranges, input_names, input_of
from rerank_core.engine.weights import WEIGHTS_NAME, Weights, read_weights
from rerank_core.errors import ArtifactError
from rerank_core.text import PackedTokens

METHOD = "static-int8"


@dataclass(frozen=True)
class StaticCalibration:
    """What `Manifest.quantisation` holds."""

    data: str
    """The texts it was measured on."""
    rows: int
    ranges: Ranges

    def to_manifest(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "method": METHOD,
            "data": self.data,
            "rows": self.rows,
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
        }


def calibrate_artifact(artifact: Artifact, rows: Iterable[PackedTokens], data: str) -> Artifact:
    """Measures the ranges, writes them into the folder's manifest and opens it anew.

    `rows` are a few hundred pairs or texts as they are served; `data` says where they come from.
    Raises `ArtifactError`, and then leaves the folder as it was.
    """
    shape, manifest = read_shape(artifact), artifact.manifest
    pooling = read_pooling(artifact) if manifest.kind == "bi-encoder" else None
    weights = read_weights(artifact.folder / WEIGHTS_NAME, shape, classifier=pooling is None)
    if pooling is None:
        check_output(artifact, len(weights["classifier.bias"]))
    calibration = measure_ranges(weights, shape, pooling, rows, data)
    return seal_artifact(
        artifact.folder,
        name=manifest.name,
        kind=manifest.kind,
        recipe=manifest.recipe,
        output=manifest.output,
        probability=manifest.probability,
        quantisation=calibration.to_manifest(),
        metrics=manifest.metrics,
        lineage=manifest.lineage,
        licence=manifest.licence,
    )


def measure_ranges(
    weights: Weights,
    shape: BertShape,
    pooling: Pooling | None,
    rows: Iterable[PackedTokens],
    data: str,
) -> StaticCalibration:
    """The lowest and the highest value of each input that is quantised, over all `rows`.

    Raises `ArtifactError` where there is no row.
    """
    inputs = _Inputs()
    graph = encoder_graph(weights, shape, pooling, inputs)
    ends = _ends(graph, inputs.tensors)
    session = make_session(graph)
    lowest = np.full(len(inputs.tensors), np.inf)
    highest = -lowest
    count = 0
    for tokens in rows:
        count += len(tokens)
        for unit in equal_length_units(tokens.lengths):
            found = np.array(session.run(ends, feed(tokens.rows(unit))))
            lowest = np.minimum(lowest, found[::2])
            highest = np.maximum(highest, found[1::2])
    if not count:
        raise ArtifactError("calibration needs at least one row of tokens")
    ranges = zip(lowest.tolist(), highest.tolist(), strict=True)
    return StaticCalibration(data, count, dict(zip(inputs.tensors, ranges, strict=True)))


def read_ranges(quantisation: Mapping[str, Any] | None, shape: BertShape, where: str) -> Ranges:
    """The ranges in the `quantisation` of the manifest of the model that `where` names.

    Raises `ArtifactError` where there are none or they do not fit the encoder.
    """
    if quantisation is None or quantisation.get("method") != METHOD:
        raise ArtifactError(
            f"{where}: the manifest's quantisation holds no ranges of {METHOD}; measure them on "
            "rows as they are served (static_calibration.calibrate_artifact), or "
            "choose another numeric path"
        )
    stored = quantisation.get("ranges")
    ranges = stored if isinstance(stored, Mapping) else {}
    expected = set(input_names(shape))
    if wrong := sorted(expected ^ set(ranges)):
        what = "lacks" if wrong[0] in expected else "names what the encoder lacks:"
        raise ArtifactError(f"{where}: quantisation.ranges {what} {wrong[0]}; calibrate again")
    return {name: _range(where, name, ranges[name]) for name in input_names(shape)}


def _range(where: str, name: str, ends: Any) -> tuple[float, float]:
    match ends:
        case [float() | int() as lowest, float() | int() as highest] if (
            -math.inf < lowest <= highest < math.inf
        ):
            return float(lowest), float(highest)
    raise ArtifactError(
        f"{where}: quantisation.ranges.{name} is {ends!r}; it must be the lowest and the highest "
        "value, calibrate again"
    )


@dataclass
class _Inputs:
    """`Dense` in fp32 that notes what each matrix is multiplied with."""

    tensors: dict[str, str] = field(default_factory=dict)

    def __call__(self, graph: GraphBuilder, x: str, name: str) -> str:
        # The last layer's query reads the first token alone, its key all of them.
        if not name.endswith(".query"):
            self.tensors[input_of(name)] = x
        return dense(graph, x, name)


def _ends(graph: EncoderGraph, tensors: Mapping[str, str]) -> list[str]:
    """Adds the lowest and the highest value of each tensor as outputs; their names in pairs."""
    names = []
    for tensor in tensors.values():
        for operator in ("ReduceMin", "ReduceMax"):
            name = f"{tensor}_{operator}"
            graph.model.graph.node.append(
                helper.make_node(operator, [tensor], [name], name, keepdims=0)
            )
            graph.model.graph.output.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [])
            )
            names.append(name)
    return names
