"""Where an exported graph has its weights: in itself, or in files that the model hash covers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import onnx

from rerank_core.artifact import EXPORTED_DATA_NAMES
from rerank_core.errors import ArtifactError

_HASHED = tuple(PurePosixPath(name).name for name in EXPORTED_DATA_NAMES)


def check_external_data(path: Path) -> None:
    """Holds where a graph has its weights against what is hashed; the weights are not read.

    Raises `ArtifactError` where the file is no graph, or names another file: its content could
    change, and neither checksum nor model hash would.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # of the file system, or of protobuf, which stays at the edges
        raise ArtifactError(f"{path}: no ONNX graph: {error}; export it anew") from error
    for tensor in _tensors(model):
        named = [entry.value for entry in tensor.external_data if entry.key == "location"]
        for name in named:
            if name not in _HASHED:
                raise ArtifactError(
                    f"{path}: its tensor {tensor.name} lies in {name!r}, which no checksum "
                    f"covers; save it with its weights inside, or in {' or '.join(_HASHED)}"
                )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(graph)
