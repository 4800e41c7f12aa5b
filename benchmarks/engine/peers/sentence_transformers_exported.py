"""sentence-transformers' CrossEncoder on its ONNX and OpenVINO backends.

Their packages want an older transformers, so the release is the newest that goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

REQUIREMENTS = (
    "sentence-transformers[onnx,openvino]==5.7.0",
    "transformers==4.57.6",
    "torch==2.15.0",
    "optimum-onnx==0.1.0",
    "optimum-intel==1.27.0",
    "onnxruntime==1.32.0",
    "openvino==2026.4.1",
    "nncf==3.4.0",
    "datasets==4.0.0",
)
SETTINGS = {
    "onnx, defaults": "fp32",
    "onnx, O3": "fp32",
    "onnx, int8": "reduced",
    "openvino, defaults": "fp32",
    "openvino, int8": "reduced",
}


def load(job: dict[str, Any]) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """`predict` on the backend that the setting names."""
    import torch  # noqa: PLC0415  only its own environment has it
    from sentence_transformers import CrossEncoder  # noqa: PLC0415

    torch.set_num_threads(job["cores"])
    backend, kind = job["setting"].split(", ")
    options: dict[str, Any] = {"provider": "CPUExecutionProvider"} if backend == "onnx" else {}

    def opened(**model_kwargs: Any) -> Any:
        return CrossEncoder(
            job["folder"],
            backend=backend,
            device="cpu",
            local_files_only=True,
            max_length=512,
            model_kwargs=options | model_kwargs,
        )

    model = opened(export=True)
    if kind != "defaults":
        target = Path(job["scratch"]) / "made"
        file = _convert(model, kind, job, target)
        (target / "config.json").write_bytes((Path(job["folder"]) / "config.json").read_bytes())
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (target / name).write_bytes((Path(job["folder"]) / name).read_bytes())
        job["folder"] = str(target)
        model = opened(file_name=file)

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        pairs = [(query, text) for text in texts]
        logits: Sequence[float] = model.predict(
            pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        return logits

    return score


def _convert(model: Any, kind: str, job: dict[str, Any], target: Path) -> str:
    """Writes what the documentation recommends to `target`; gives the file's name there."""
    from sentence_transformers import (  # noqa: PLC0415
        export_dynamic_quantized_onnx_model,
        export_optimized_onnx_model,
        export_static_quantized_openvino_model,
    )

    target.mkdir()
    if kind == "O3":
        export_optimized_onnx_model(model, "O3", str(target))
        return "onnx/model_O3.onnx"
    if job["setting"] == "onnx, int8":
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        isa = "avx512_vnni" if "avx512_vnni" in flags else "avx2"
        export_dynamic_quantized_onnx_model(model, isa, str(target))
        return next((target / "onnx").glob("*.onnx")).relative_to(target).as_posix()
    # Calibrated on the texts at hand: the sets that the documentation names are on a hub.
    config = import_module("optimum.intel").OVQuantizationConfig()
    data = Path(job["scratch"]) / "calibration"
    data.mkdir()
    texts = [text for workload in job["requests"].values() for _, some in workload for text in some]
    (data / "train.txt").write_text("\n".join(texts), encoding="utf-8")
    export_static_quantized_openvino_model(
        model,
        config,
        str(target),
        dataset_name=str(data),
        dataset_config_name="default",
        dataset_split="train",
        column_name="text",
    )
    return next((target / "openvino").glob("*.xml")).relative_to(target).as_posix()
