"""Weights of a BERT encoder out of a safetensors file, every tensor checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from rerank_core.engine.shape import BertShape
from rerank_core.errors import ArtifactError

Weights = Mapping[str, npt.NDArray[np.float32]]
"""Tensors by the names of `transformers.BertModel` (no prefix), and `classifier.*`."""

Size = tuple[int, ...]

WEIGHTS_NAME = "model.safetensors"
"""Where a model folder has them."""

POOLER = "pooler.dense"
"""The dense layer with tanh that stands between the first token and a classifier, mostly."""

_LAYER = "encoder.layer."

_FLOATS = ("F16", "F32", "F64")

# The sum of a row's squares fits float32 below it, at any width that is computed. Beyond, a row's
# normalisation overflows, to a score that is finite and wrong; a table's may lie outside of the
# built-in sample.
_LARGEST = 1e15


def read_weights(path: Path, shape: BertShape, *, classifier: bool) -> Weights:
    """All tensors the engine needs, as float32, and no others.

    With `classifier` the head is read too, and the pooler where the shape has one. Raises
    `ArtifactError` for another number of layers, and naming the tensor that is missing, misshapen,
    of another type, holds NaN, infinity or what overflows, or is of a pooler that the shape lacks.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            stored = {name.removeprefix("bert."): file.get_slice(name) for name in names}
            _check_layers(path, shape, stored)
            sizes = dict(_encoder_sizes(shape))
            if classifier:
                sizes |= _pooler_sizes(path, shape, stored)
                sizes |= _dense("classifier", _outputs(stored), shape.width)
            return {name: _read(path, name, size, stored) for name, size in sizes.items()}
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: {error}; copy the file anew") from error


def _check_layers(path: Path, shape: BertShape, stored: Mapping[str, Any]) -> None:
    """A model of some of the layers would score, and wrongly."""
    parts = (name.split(".") for name in stored if name.startswith(_LAYER))
    numbers = {int(part[2]) for part in parts if part[2].isdecimal()}
    there = 1 + max(numbers, default=-1)
    if there != shape.layers:
        raise ArtifactError(
            f"{path}: has {there} layers, config.json says num_hidden_layers is {shape.layers}; "
            "save the whole model"
        )


def _pooler_sizes(path: Path, shape: BertShape, stored: Mapping[str, Any]) -> dict[str, Size]:
    sizes = _dense(POOLER, shape.width, shape.width)
    if shape.pooler:
        if not sizes.keys() & stored.keys():
            raise ArtifactError(
                f"{path}: tensor {POOLER}.weight is missing; save the whole model, or, where the "
                'classifier stands on the first token itself, say "add_pooling_layer": false in '
                "config.json"
            )
        return sizes
    if found := sorted(sizes.keys() & stored.keys()):
        raise ArtifactError(
            f"{path}: has the tensor {found[0]}, config.json says add_pooling_layer is false; the "
            "score depends on which of them is right, mend the other"
        )
    return {}


def _outputs(stored: Mapping[str, Any]) -> int:
    """How many the classifier has, as far as it says; one where it does not."""
    size = stored["classifier.bias"].get_shape() if "classifier.bias" in stored else [1]
    return int(size[0]) if size else 1


def _read(path: Path, name: str, size: Size, stored: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    if name not in stored:
        raise ArtifactError(f"{path}: tensor {name} is missing; save the whole model")
    found, kind = tuple(stored[name].get_shape()), stored[name].get_dtype()
    if found != size:
        raise ArtifactError(f"{path}: tensor {name} has shape {found}, config.json says {size}")
    if kind not in _FLOATS:
        raise ArtifactError(
            f"{path}: tensor {name} is of type {kind}; save the model in one of {_FLOATS}"
        )
    tensor: npt.NDArray[np.float32] = stored[name][:].astype(np.float32, copy=False)
    if not np.isfinite(tensor).all():
        raise ArtifactError(f"{path}: tensor {name} holds NaN or infinity; train or copy it anew")
    if (largest := float(np.abs(tensor).max(initial=0))) > _LARGEST:
        raise ArtifactError(
            f"{path}: tensor {name} holds {largest:.2g}, beyond {_LARGEST:.0e} a forward pass "
            "overflows; train or copy it anew"
        )
    return tensor


def _encoder_sizes(shape: BertShape) -> Iterator[tuple[str, Size]]:
    width, ffn = shape.width, shape.ffn_width
    yield "embeddings.word_embeddings.weight", (shape.vocabulary, width)
    yield "embeddings.position_embeddings.weight", (shape.positions, width)
    yield "embeddings.token_type_embeddings.weight", (shape.token_types, width)
    yield from _norm("embeddings.LayerNorm", width).items()
    for layer in range(shape.layers):
        name = f"{_LAYER}{layer}"
        for part in ("query", "key", "value"):
            yield from _dense(f"{name}.attention.self.{part}", width, width).items()
        yield from _dense(f"{name}.attention.output.dense", width, width).items()
        yield from _norm(f"{name}.attention.output.LayerNorm", width).items()
        yield from _dense(f"{name}.intermediate.dense", ffn, width).items()
        yield from _dense(f"{name}.output.dense", width, ffn).items()
        yield from _norm(f"{name}.output.LayerNorm", width).items()


def _dense(name: str, outputs: int, inputs: int) -> dict[str, Size]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> dict[str, Size]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
