"""The size of a BERT encoder and of what stands on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rerank_core.artifact import Artifact
from rerank_core.errors import ArtifactError

Pooling = Literal["cls", "mean"]

# The architecture that is computed. A key that is missing stands for the first value, but the type
# must be said.
_KNOWN: dict[str, tuple[object, ...]] = {
    "model_type": ("bert",),
    "hidden_act": ("gelu", "gelu_python"),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
}


@dataclass(frozen=True, slots=True)
class BertShape:
    """Sizes of an encoder, as its `config.json` states them."""

    layers: int
    width: int
    heads: int
    ffn_width: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    """Of the layer normalisations."""
    pooler: bool = True
    """Whether a dense layer with tanh stands between the first token and a classifier."""

    @property
    def head_width(self) -> int:
        """Columns of one attention head."""
        return self.width // self.heads


def read_shape(artifact: Artifact) -> BertShape:
    """The shape in an artifact's `config.json`.

    Raises `ArtifactError` for another architecture, a size that is missing or does not divide,
    and a recipe that needs more positions than the encoder has.
    """
    config = artifact.object("config.json")
    where = artifact.folder / "config.json"
    for key, known in _KNOWN.items():
        value = config.get(key, None if key == "model_type" else known[0])
        if value not in known:
            raise ArtifactError(
                f"{where}: {key} is {value!r}, the engine computes {' or '.join(map(repr, known))}"
            )

    def size(key: str) -> int:
        value = config.get(key)
        if type(value) is not int or value < 1:
            raise ArtifactError(f"{where}: {key} must be a positive whole number, it is {value!r}")
        return value

    epsilon = config.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        raise ArtifactError(f"{where}: layer_norm_eps must be a small number, it is {epsilon!r}")
    pooler = config.get("add_pooling_layer", True)
    if not isinstance(pooler, bool):
        raise ArtifactError(f"{where}: add_pooling_layer must be true or false, it is {pooler!r}")
    shape = BertShape(
        layers=size("num_hidden_layers"),
        width=size("hidden_size"),
        heads=size("num_attention_heads"),
        ffn_width=size("intermediate_size"),
        vocabulary=size("vocab_size"),
        positions=size("max_position_embeddings"),
        token_types=size("type_vocab_size"),
        epsilon=epsilon,
        pooler=pooler,
    )
    if shape.width % shape.heads:
        raise ArtifactError(f"{where}: hidden_size is no multiple of num_attention_heads")
    if shape.token_types < 2 and artifact.manifest.kind == "cross-encoder":
        raise ArtifactError(f"{where}: type_vocab_size must be 2 for pairs")
    if artifact.max_tokens > shape.positions:
        raise ArtifactError(
            f"{artifact.folder}: the recipe composes rows of up to {artifact.max_tokens} tokens, "
            f"the encoder has {shape.positions} positions; seal the folder with a recipe of lower "
            "token limits"
        )
    return shape


def check_output(artifact: Artifact, columns: int) -> None:
    """Holds what the manifest says of the relevance against a classifier of so many outputs.

    Raises `ArtifactError` where it says nothing, or what cannot be.
    """
    output = artifact.manifest.output
    if artifact.described and columns > 1:
        raise ArtifactError(
            f"{artifact.folder}: the classifier has {columns} outputs and nothing says which is "
            "the relevance; seal the folder with output.index, counted from 0"
        )
    if output.index not in range(columns):
        raise ArtifactError(
            f"{artifact.folder}: output.index is {output.index}, the classifier has {columns} "
            "outputs, counted from 0; seal the folder with one of them"
        )
    if output.activation == "softmax" and columns == 1:
        raise ArtifactError(
            f"{artifact.folder}: output.activation is softmax, the classifier has one output, "
            "whose share is always 1; seal the folder with what training put on it"
        )


def read_pooling(artifact: Artifact) -> Pooling:
    """How a bi-encoder's token rows become one vector; mean where the folder does not say.

    Raises `ArtifactError` for what would change the vector in ways not known here.
    """
    if not (artifact.folder / "modules.json").exists():
        return "mean"
    _refuse_other_modules(artifact)
    _refuse_prompt(artifact)
    path = "1_Pooling/config.json"
    pooling = artifact.object(path)
    if isinstance(pooling.get("pooling_mode"), str):
        modes = [pooling["pooling_mode"]]
    else:
        modes = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value]
    match modes:
        case ["pooling_mode_mean_tokens"] | ["mean"]:
            return "mean"
        case ["pooling_mode_cls_token"] | ["cls"]:
            return "cls"
    raise ArtifactError(f"{artifact.folder / path}: pooling {modes}; known: mean, cls")


def _refuse_other_modules(artifact: Artifact) -> None:
    known = ("Transformer", "Pooling", "Normalize")
    for module in artifact.list("modules.json"):
        kind = module.get("type") if isinstance(module, dict) else None
        if str(kind).rsplit(".", 1)[-1] not in known:
            raise ArtifactError(
                f"{artifact.folder / 'modules.json'}: module {module} is not known; "
                f"known: {', '.join(known)}"
            )


def _refuse_prompt(artifact: Artifact) -> None:
    name = "config_sentence_transformers.json"
    if not (artifact.folder / name).exists():
        return
    prompt = artifact.object(name).get("default_prompt_name")
    if prompt is not None:
        raise ArtifactError(
            f"{artifact.folder / name}: default_prompt_name is {prompt!r}; texts are encoded "
            "without a prompt here, take a model that was trained so"
        )
