"""The model folder: a Hugging Face folder with a manifest that says what is in it."""

from rerank_core.artifact.folder import (
    EXPORTED_DATA_NAMES,
    EXPORTED_NAME,
    Artifact,
    open_artifact,
    seal_artifact,
)
from rerank_core.artifact.manifest import (
    FORMAT,
    MANIFEST_NAME,
    Licence,
    Manifest,
    Metric,
    Output,
    ProbabilityCalibration,
)
from rerank_core.artifact.named import named_folder, open_named

__all__ = [
    "EXPORTED_DATA_NAMES",
    "EXPORTED_NAME",
    "FORMAT",
    "MANIFEST_NAME",
    "Artifact",
    "Licence",
    "Manifest",
    "Metric",
    "Output",
    "ProbabilityCalibration",
    "named_folder",
    "open_artifact",
    "open_named",
    "seal_artifact",
]
