"""Small real models for tests: random BERT weights under the real MiniLM tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertPreTrainedModel

from rerank_core.artifact import named_folder

_SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    # Random weights of the usual 0.02 give every pair nearly the same score.
    "initializer_range": 0.3,
    "vocab_size": 30522,
}


class BareClassifier(BertPreTrainedModel):
    """A classifier on the first token's state as it is."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Logits, ``(rows, labels)``."""
        return self.classifier(self.bert(**inputs).last_hidden_state[:, 0])


def make_cross_encoder(
    folder: Path, seed: int = 1, labels: int = 1, *, pooler: bool = True
) -> Path:
    """A Hugging Face folder of a cross-encoder, in safetensors."""
    torch.manual_seed(seed)
    config = BertConfig(num_labels=labels, **_SIZE)
    if pooler:
        BertForSequenceClassification(config).save_pretrained(folder)
    else:
        config.add_pooling_layer = False
        BareClassifier(config).save_pretrained(folder)
    _copy_tokenizer(folder)
    return folder


def make_bi_encoder(folder: Path, seed: int = 2, pooling: str = "mean") -> Path:
    """A sentence-transformers folder of a bi-encoder."""
    torch.manual_seed(seed)
    BertModel(BertConfig(**_SIZE)).save_pretrained(folder)
    _copy_tokenizer(folder)
    source = named_folder("minilm")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        shutil.copy(source / name, folder / name)
    (folder / "1_Pooling").mkdir()
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
    flags = ", ".join(f'"{name}": {str(key == pooling).lower()}' for key, name in modes.items())
    (folder / "1_Pooling" / "config.json").write_text(
        f'{{"word_embedding_dimension": {_SIZE["hidden_size"]}, {flags}}}'
    )
    return folder


def _copy_tokenizer(folder: Path) -> None:
    source = named_folder("minilm")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(source / name, folder / name)
