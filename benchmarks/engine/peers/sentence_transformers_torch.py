"""sentence-transformers' CrossEncoder on torch, fp32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

REQUIREMENTS = ("sentence-transformers==6.2.0", "transformers==5.23.0", "torch==2.15.0")
SETTINGS = {"defaults": "fp32"}


def load(job: dict[str, Any]) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """`predict` with its own sorting and batches of 32."""
    import torch  # noqa: PLC0415  only its own environment has it
    from sentence_transformers import CrossEncoder  # noqa: PLC0415

    torch.set_num_threads(job["cores"])
    model = CrossEncoder(job["folder"], device="cpu", local_files_only=True, max_length=512)

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        pairs = [(query, text) for text in texts]
        logits: Sequence[float] = model.predict(
            pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        return logits

    return score
