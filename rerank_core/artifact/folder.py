"""Opening, checking and sealing a model folder."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rerank_core import records
from rerank_core.artifact.manifest import (
    FORMAT,
    MANIFEST_NAME,
    Kind,
    Licence,
    Manifest,
    Output,
    model_hash,
)
from rerank_core.errors import ArtifactError
from rerank_core.hashing import hash_file
from rerank_core.text import DEFAULT_RECIPE, ProductTextRecipe

_Json = TypeVar("_Json", dict[str, Any], list[Any])

EXPORTED_NAME = "onnx/model.onnx"
# Where exporters put the weights of a graph that does not hold them itself.
EXPORTED_DATA_NAMES = ("onnx/model.onnx_data", "onnx/model.onnx.data")

# What decides a score. Everything else in a folder (cards, training logs) may change freely.
_DECIDING = (
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    EXPORTED_NAME,
    *EXPORTED_DATA_NAMES,
)
_DECIDING_OF_BI_ENCODERS = ("modules.json", "1_Pooling/config.json")


@dataclass(frozen=True)
class Artifact:
    """A model folder whose content is what its manifest says."""

    folder: Path
    manifest: Manifest
    described: bool = False
    """The manifest is a guess at a folder that has none."""

    def object(self, name: str) -> dict[str, Any]:
        """The object in a JSON file of the folder. Raises `ArtifactError`."""
        return _read(self.folder / name, dict)

    def list(self, name: str) -> list[Any]:
        """The list in a JSON file of the folder. Raises `ArtifactError`."""
        return _read(self.folder / name, list)

    def check_kind(self, kind: str) -> None:
        """Raises `ArtifactError` where it is of another."""
        if self.manifest.kind != kind:
            raise ArtifactError(
                f"{self.folder}: is a {self.manifest.kind}, a {kind} is needed here"
            )

    @property
    def max_tokens(self) -> int:
        """Positions that a row of this model needs at most, special tokens included."""
        recipe = self.manifest.recipe
        if self.manifest.kind == "bi-encoder":
            return recipe.product_tokens + 2
        return recipe.query_tokens + recipe.product_tokens + 3


def open_artifact(folder: Path) -> Artifact:
    """The artifact in a folder, every checksum compared.

    A plain Hugging Face folder without a manifest gets one in memory: kind from its files, the
    default recipe. Raises `ArtifactError` naming the file or key and what to do.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; give the path of a model folder")
    path = folder / MANIFEST_NAME
    # A link that leads nowhere is a manifest that is lost, and not a folder without one.
    if not os.path.lexists(path):
        return Artifact(folder, _describe_plain(folder), described=True)
    manifest = records.read_json(Manifest, path, str(path), ArtifactError)
    found = _hash_deciding(folder, manifest.kind)
    for name in sorted(set(found) | set(manifest.files)):
        if name not in found and (folder / name).is_file():
            raise ArtifactError(
                f"{folder / name}: named in the manifest, and decides no score of a "
                f"{manifest.kind}; seal the folder again"
            )
        if name not in found:
            raise ArtifactError(f"{folder / name}: named in the manifest, not in the folder")
        if name not in manifest.files:
            raise ArtifactError(f"{folder / name}: not in the manifest; seal the folder again")
        if found[name] != manifest.files[name]:
            raise ArtifactError(
                f"{folder / name}: sha256 is not the manifest's; the file was changed or cut off, "
                "copy the folder anew"
            )
    expected = model_hash(manifest.files, manifest.kind, manifest.recipe, manifest.output)
    if manifest.model_hash != expected:
        raise ArtifactError(
            f"{path}: model_hash does not follow from files, recipe and output; "
            "the manifest was edited, seal the folder again"
        )
    return Artifact(folder, manifest)


def seal_artifact(
    folder: Path,
    *,
    name: str,
    kind: Kind,
    recipe: ProductTextRecipe,
    output: Output | None = None,
    **facts: Any,
) -> Artifact:
    """Writes the manifest of a finished folder and opens it.

    `facts` are the further fields of `Manifest` (metrics, lineage, licence, calibrations). Raises
    `ArtifactError`, and then leaves the folder as it was.
    """
    output = output or Output()
    files = _hash_deciding(folder, kind)
    manifest = Manifest(
        format=FORMAT,
        name=name,
        kind=kind,
        model_hash=model_hash(files, kind, recipe, output),
        files=files,
        recipe=recipe,
        output=output,
        **facts,
    )
    # Read back before it replaces the manifest that may be there: a wrong fact costs nothing.
    unwritten = f"{folder / MANIFEST_NAME}, not written"
    try:
        text = json.dumps(records.to_json(manifest), indent=2, ensure_ascii=False) + "\n"
    except ValueError as error:
        raise ArtifactError(f"{unwritten}: {error}") from error
    records.read_json(Manifest, text, unwritten, ArtifactError)
    # Written beside and renamed, so that a kill leaves the old manifest or the new one.
    staged = folder / f".{MANIFEST_NAME}.new"
    try:
        staged.write_text(text, encoding="utf-8")
        staged.replace(folder / MANIFEST_NAME)
    except OSError as error:
        with suppress(OSError):
            staged.unlink()
        raise ArtifactError(f"{unwritten}: {error.strerror or error}") from error
    return open_artifact(folder)


def _describe_plain(folder: Path) -> Manifest:
    architectures = _read(folder / "config.json", dict).get("architectures") or [""]
    if not (isinstance(architectures, list) and isinstance(architectures[0], str)):
        raise ArtifactError(f"{folder / 'config.json'}: architectures must be a list of names")
    classifier = architectures[0].endswith("ForSequenceClassification")
    kind: Kind = "cross-encoder" if classifier else "bi-encoder"
    recipe = DEFAULT_RECIPE
    if kind == "bi-encoder":
        recipe = _fit(recipe, folder)
    files = _hash_deciding(folder, kind)
    return Manifest(
        format=FORMAT,
        name=folder.resolve().name,
        kind=kind,
        model_hash=model_hash(files, kind, recipe, Output()),
        files=files,
        recipe=recipe,
        licence=Licence(name="unknown"),
    )


def _fit(recipe: ProductTextRecipe, folder: Path) -> ProductTextRecipe:
    """The recipe, no longer than what sentence-transformers would read of a text."""
    path = folder / "sentence_bert_config.json"
    limit = _read(path, dict).get("max_seq_length") if path.exists() else None
    if not isinstance(limit, int) or limit - 2 >= recipe.product_tokens:
        return recipe
    return ProductTextRecipe(fields=recipe.fields, product_tokens=limit - 2)


def _hash_deciding(folder: Path, kind: Kind) -> dict[str, str]:
    names = _DECIDING + (_DECIDING_OF_BI_ENCODERS if kind == "bi-encoder" else ())
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name}: missing; a model folder needs it")
    try:
        present = {name: hash_file(folder / name) for name in names if (folder / name).is_file()}
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}; make it readable") from error
    if not {"model.safetensors", "onnx/model.onnx"} & set(present):
        raise ArtifactError(
            f"{folder}: neither model.safetensors nor onnx/model.onnx; pickled weights "
            "(pytorch_model.bin) are never read, save the model as safetensors"
        )
    return present


def _read(path: Path, kind: type[_Json]) -> _Json:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, kind):
        raise ArtifactError(f"{path}: must hold one JSON {kind.__name__}")
    return value
