"""The CUDA path as far as a CPU shows it: the fp16 graph, its units, and the refusals."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import cuda_path, load_bi_encoder, load_cross_encoder
from rerank_core.engine.cuda_path import CudaPath
from rerank_core.engine.graph import encoder_graph
from rerank_core.engine.shape import BertShape
from rerank_core.errors import ArtifactError, ToolMissingError
from tests.native_reference import Reference, random_rows, random_weights
from tests.tiny_models import make_bi_encoder, make_cross_encoder

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)
CPU = "CPUExecutionProvider"


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
def test_the_fp16_graph_is_near_fp32(pooling):
    """Computed by the CPU provider through the same binding; outputs are fp32."""
    weights = random_weights(SHAPE, outputs=3)
    path = CudaPath(weights, SHAPE, pooling, provider=CPU)
    tokens = random_rows(SHAPE, [40] * 3)
    found = path.forward(tokens)
    wanted = Reference(weights, SHAPE, pooling, precision=None).forward(tokens)
    assert found.dtype == np.float32
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.02 * np.sqrt((wanted**2).mean())
    assert (path.name, path.deterministic, path.columns) == ("cuda-fp16", False, found.shape[1])


def test_every_weight_is_half():
    """No tensor of the model stays in fp32, so no product runs in it."""
    graph = encoder_graph(random_weights(SHAPE), SHAPE, None, half=True)
    assert {array.dtype for array in graph.initializers.values()} == {np.dtype(np.float16)}


def test_units_are_equally_long_and_large():
    """16,384 tokens of one length a unit."""
    path = CudaPath(random_weights(SHAPE), SHAPE, provider=CPU)
    tokens = random_rows(SHAPE, [128] * 300 + [9])
    assert [len(unit) for unit in path.plan(tokens)] == [128, 128, 44, 1]


def test_a_weight_beyond_fp16_is_refused_by_name():
    """It would become infinity."""
    weights = random_weights(SHAPE)
    weights["encoder.layer.1.output.dense.weight"][2, 3] = 70_000
    with pytest.raises(ArtifactError, match=r"layer.1.output.dense.weight.* is beyond fp16"):
        CudaPath(weights, SHAPE, provider=CPU)


@pytest.mark.parametrize(
    ("make", "load"), [(make_cross_encoder, load_cross_encoder), (make_bi_encoder, load_bi_encoder)]
)
def test_without_the_provider_cuda_is_refused_with_the_mend(tmp_path, monkeypatch, make, load):
    """Nothing computes on the CPU where a GPU was asked for."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    artifact = open_artifact(make(tmp_path / "model"))
    with pytest.raises(ToolMissingError, match="pip install onnxruntime-gpu"):
        load(artifact, "cuda")


def test_a_provider_that_does_not_start_is_refused(monkeypatch):
    """ONNX Runtime goes on with the CPU then; this package does not."""
    make_session = cuda_path.make_session
    monkeypatch.setattr(cuda_path, "make_session", lambda graph, _provider: make_session(graph))
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    with pytest.raises(ToolMissingError, match="could not start its CUDAExecutionProvider"):
        CudaPath(random_weights(SHAPE), SHAPE)
