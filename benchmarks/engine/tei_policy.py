"""How a common reranking server computes, as the yardstick R: padded batches in order of arrival.

After huggingface/text-embeddings-inference on ONNX Runtime: the exported fp32 graph with its
attention mask, eight rows a batch, each batch as wide as its longest row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from rerank_core.text import PackedTokens

_BATCH_ROWS = 8


class TeiPolicy:
    """Scores rows with an exported cross-encoder; one session that uses `threads` threads."""

    def __init__(self, exported: Path, threads: int) -> None:
        """`exported` takes input_ids, attention_mask and token_type_ids, all int64."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(
            str(exported), options, providers=["CPUExecutionProvider"]
        )

    def score(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """Logits ``(rows, labels)``, rows in their order."""
        outputs = [
            self._session.run(
                None, padded(tokens.rows(np.arange(start, min(start + _BATCH_ROWS, len(tokens)))))
            )[0]
            for start in range(0, len(tokens), _BATCH_ROWS)
        ]
        return np.asarray(np.concatenate(outputs), np.float32)


def padded(tokens: PackedTokens) -> dict[str, npt.NDArray[np.int64]]:
    """Rows as rectangles ``(rows, longest)``, zeros behind their ends."""
    lengths = tokens.lengths
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids, type_ids = np.zeros((2, *mask.shape), np.int64)
    ids[mask], type_ids[mask] = tokens.ids, tokens.type_ids
    return {
        "input_ids": ids,
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": type_ids,
    }
