"""Forward passes in fp16 on a GPU.

It has not been run on a GPU yet: the tests compute its graph on the CPU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from rerank_core.engine.graph import OUTPUT, encoder_graph
from rerank_core.engine.onnx_path import equal_length_units, feed, make_session
from rerank_core.engine.path import Rows
from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import Weights
from rerank_core.errors import ToolMissingError
from rerank_core.text import PackedTokens

_CUDA = "CUDAExecutionProvider"

# A GPU is filled by many rows at once, and a launch costs the same for one row as for a hundred.
_UNIT_TOKENS = 16_384
_PART_ROWS = 1024


class CudaPath:
    """An encoder in fp16 on CUDA, embeddings to head; the outputs are fp32."""

    name = "cuda-fp16"
    deterministic = False
    # A GPU takes as long for a few rows as for many.
    first_rows = part_rows = _PART_ROWS

    def __init__(
        self,
        weights: Weights,
        shape: BertShape,
        pooling: Pooling | None = None,
        *,
        provider: str = _CUDA,
    ) -> None:
        """A classifier, or with `pooling` vectors of unit length.

        Raises `ToolMissingError` where onnxruntime has no CUDA provider or no GPU to run it on,
        `ArtifactError` where a weight is beyond fp16.
        """
        if provider not in ort.get_available_providers():
            raise ToolMissingError(
                f"this onnxruntime has no {provider}; pip install onnxruntime-gpu in place of "
                "onnxruntime, or choose another numeric path"
            )
        graph = encoder_graph(weights, shape, pooling, half=True)
        self.columns = graph.columns
        self._session = make_session(graph, provider)
        # ONNX Runtime goes on without a provider that cannot start.
        if self._session.get_providers()[0] != provider:
            raise ToolMissingError(
                f"onnxruntime could not start its {provider}; give it a GPU with its driver and "
                "CUDA libraries, or choose another numeric path"
            )

    def plan(self, tokens: PackedTokens) -> list[Rows]:
        """Units of equally long rows, larger than on a CPU."""
        return equal_length_units(tokens.lengths, _UNIT_TOKENS)

    def forward(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """Outputs of equally long rows, shape ``(rows, columns)``."""
        # Bound, each input and the output cross the bus once.
        binding = self._session.io_binding()
        for name, value in feed(tokens).items():
            binding.bind_cpu_input(name, value)
        binding.bind_output(OUTPUT)
        self._session.run_with_iobinding(binding)
        (output,) = binding.copy_outputs_to_cpu()
        return np.asarray(output, np.float32)
