"""The graph that the yardstick R runs: the model as torch exports it."""

from __future__ import annotations

import warnings
from pathlib import Path

from rerank_core.errors import ToolMissingError

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

ABOUT = (
    "fp32 graph exported by torch.onnx (tracing, eager attention, opset 17) on ONNX Runtime with "
    "its default optimisations, batches of 8 in order of arrival, padded to their longest row"
)


def export_graph(folder: Path, target: Path) -> Path:
    """Writes the ONNX graph of the cross-encoder in `folder`, fp32, with free axes, to `target`.

    Raises `ToolMissingError` without torch and transformers.
    """
    try:
        import torch  # noqa: PLC0415  heavy, and wanted for this alone
        from transformers import AutoModelForSequenceClassification  # noqa: PLC0415
        from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415
    except ImportError as error:
        raise ToolMissingError(
            f"{error.name} is not installed; the yardstick is exported by it: "
            "pip install 'rerank-sidecar[bench]'"
        ) from error
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    ).eval()
    sample = torch.ones(2, 7, dtype=torch.long)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: each is about a branch on a fixed shape
        torch.onnx.export(
            model,
            (sample, sample, torch.zeros_like(sample)),
            str(target),
            input_names=list(_INPUTS),
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in _INPUTS},
            opset_version=17,
            dynamo=False,  # the other exporter needs onnxscript
        )
    return target
