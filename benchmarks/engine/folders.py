"""Copies of a model for measuring: in fp32 for others to read, or with fewer layers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from rerank_core.artifact import Artifact
from rerank_core.errors import ArtifactError

_SPECIAL_TOKENS = {
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}


def copy_model(artifact: Artifact, folder: Path, layers: int | None = None) -> Path:
    """A plain Hugging Face folder with the same weights in float32.

    With `layers` only the first ones, the rest as it is: for speed alone, it ranks nothing. Raises
    `ArtifactError` where the model has fewer, or no safetensors.
    """
    weights = artifact.folder / "model.safetensors"
    if not weights.is_file():
        raise ArtifactError(f"{weights}: missing; only a model with weights can be measured")
    config = artifact.object("config.json")
    kept = config["num_hidden_layers"] if layers is None else layers
    if not 1 <= kept <= config["num_hidden_layers"]:
        raise ArtifactError(f"{artifact.folder}: has {config['num_hidden_layers']} layers")
    config |= {"num_hidden_layers": kept, "dtype": "float32"}
    config.pop("torch_dtype", None)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (artifact.folder / name).is_file():
            shutil.copy(artifact.folder / name, folder / name)
    (folder / "special_tokens_map.json").write_text(json.dumps(_SPECIAL_TOKENS), encoding="utf-8")
    tensors = {
        name: tensor.astype(np.float32)
        for name, tensor in load_file(weights).items()
        if _layer(name) < kept
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _layer(tensor: str) -> int:
    """Which layer a tensor is of; 0 for one that is of none."""
    found = re.search(r"encoder\.layer\.(\d+)\.", tensor)
    return int(found[1]) if found else 0


def operations_a_token(artifact: Artifact, layers: int | None = None) -> float:
    """Multiplications and additions of the dense products of all layers, the whole row's.

    Nominal: attention is left out, and what a path saves in the last layer is not taken off.
    """
    config = artifact.object("config.json")
    width, ffn = config["hidden_size"], config["intermediate_size"]
    return float(2 * (layers or config["num_hidden_layers"]) * (4 * width**2 + 2 * width * ffn))
