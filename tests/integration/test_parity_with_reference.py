"""Our numbers are those of sentence-transformers on the same folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as ReferenceCrossEncoder
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoModelForSequenceClassification

from rerank_core.artifact import Output, named_folder, open_artifact, seal_artifact
from rerank_core.engine import Engine, load_bi_encoder, load_cross_encoder
from rerank_core.text import DEFAULT_RECIPE
from tests.tiny_models import make_bi_encoder, make_cross_encoder

SENTENCE = "cordless drill 18V 2.0Ah kit with battery, charger & bag: 1/2 in. chuck; café, size 9½"
WORDS = SENTENCE.split()
TEXTS = [" ".join(WORDS[k % len(WORDS)] for k in range(n, n + 1 + 3 * n)) for n in range(30)]
QUERIES = ["drill", "cordless drill 18v with battery", "café chair"]


class FirstOutput(torch.nn.Module):
    """A model as an exporter likes it: tensors by position in, one tensor out."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids, mask, types):
        """Logits or hidden states."""
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)[0]


@pytest.fixture(scope="module")
def engine():
    with Engine() as engine:
        yield engine


@pytest.fixture(autouse=True)
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The promise is about the reference path; int8 has its own."""
    monkeypatch.setenv("RERANK_NUMERIC_PATH", "onnxruntime")


def vectors_of_reference(folder: Path) -> np.ndarray:
    model = SentenceTransformer(str(folder), device="cpu")
    # Its limit counts [CLS] and [SEP]; ours is of the text alone.
    model.max_seq_length = DEFAULT_RECIPE.product_tokens + 2
    return model.encode(TEXTS, normalize_embeddings=True)


def test_packaged_minilm_vectors(engine: Engine) -> None:
    """Cosine above 0.9999 on every text, the ones cut by tokens included."""
    folder = named_folder("minilm")
    ours = engine.encode(load_bi_encoder(open_artifact(folder)), TEXTS)
    assert ours.shape == (len(TEXTS), 384)
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (ours * vectors_of_reference(folder)).sum(axis=1).min() > 0.9999


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_poolings(engine: Engine, tmp_path: Path, pooling: str) -> None:
    """Mean and [CLS], as the folder's own pooling config says."""
    folder = make_bi_encoder(tmp_path / "bi", pooling=pooling)
    ours = engine.encode(load_bi_encoder(open_artifact(folder)), TEXTS)
    assert (ours * vectors_of_reference(folder)).sum(axis=1).min() > 0.9999


def logits(engine: Engine, folder: Path) -> np.ndarray:
    model = load_cross_encoder(open_artifact(folder))
    rows = []
    for query in QUERIES:
        scored = dict(engine.submit(model, query, TEXTS))
        assert sorted(scored) == list(range(len(TEXTS)))
        rows += [scored[index] for index in range(len(TEXTS))]
    return np.array(rows)


def logits_of_reference(folder: Path) -> np.ndarray:
    # Weights are shipped in fp16; both sides compute in fp32.
    model = ReferenceCrossEncoder(
        str(folder), device="cpu", max_length=512, model_kwargs={"dtype": torch.float32}
    )
    pairs = [(query, text) for query in QUERIES for text in TEXTS]
    return np.asarray(model.predict(pairs, activation_fn=torch.nn.Identity()))


def test_minilm_cross_encoder_logits(engine: Engine, tmp_path: Path) -> None:
    """A head on MiniLM: below 1e-3 from the reference on every pair."""
    torch.manual_seed(3)
    reference = ReferenceCrossEncoder(str(named_folder("minilm")), num_labels=1, device="cpu")
    with torch.no_grad():
        reference.model.classifier.weight.mul_(50)  # a fresh head tells pairs hardly apart
    reference.save_pretrained(str(tmp_path / "cross"))
    expected = logits_of_reference(tmp_path / "cross")
    assert expected.std() > 0.05
    # The reference cuts at 512 tokens, the recipe the product at 128: keep to what neither cuts.
    short = np.tile([len(text.split()) <= 60 for text in TEXTS], len(QUERIES))
    difference = np.abs(logits(engine, tmp_path / "cross") - expected)
    assert difference[short].max() < 1e-3


def test_shipped_student_logits(engine: Engine) -> None:
    """What we ship is what the reference computes from it."""
    folder = named_folder("student")
    short = np.tile([len(text.split()) <= 20 for text in TEXTS], len(QUERIES))
    difference = np.abs(logits(engine, folder) - logits_of_reference(folder))
    assert difference[short].max() < 1e-3


def test_one_of_several_labels(engine: Engine, tmp_path: Path) -> None:
    """The manifest says which output is the relevance."""
    folder = make_cross_encoder(tmp_path / "cross", labels=3)
    seal_artifact(
        folder,
        name="three",
        kind="cross-encoder",
        recipe=DEFAULT_RECIPE,
        output=Output(label="exact", index=2),
    )
    short = np.tile([len(text.split()) <= 60 for text in TEXTS], len(QUERIES))
    difference = np.abs(logits(engine, folder) - logits_of_reference(folder)[:, 2])
    assert difference[short].max() < 1e-3


@pytest.mark.parametrize("kind", ["cross", "bi"])
def test_exported_onnx_alone(engine: Engine, tmp_path: Path, kind: str) -> None:
    """A folder with `onnx/model.onnx` and no weights gives the numbers of the weights."""
    make, head = {
        "cross": (make_cross_encoder, AutoModelForSequenceClassification),
        "bi": (make_bi_encoder, AutoModel),
    }[kind]
    folder = make(tmp_path / kind)
    if kind == "cross":
        from_weights = logits(engine, folder)
    else:
        from_weights = engine.encode(load_bi_encoder(open_artifact(folder)), TEXTS)
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = tuple(torch.ones(2, 5, dtype=torch.long) for _ in names)
    (folder / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its own tracing
        torch.onnx.export(
            FirstOutput(head.from_pretrained(folder).eval()),
            inputs,
            str(folder / "onnx" / "model.onnx"),
            input_names=list(names),
            output_names=["output"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in names},
            dynamo=False,
        )
    (folder / "model.safetensors").unlink()
    if kind == "cross":
        exported = logits(engine, folder)
    else:
        exported = engine.encode(load_bi_encoder(open_artifact(folder)), TEXTS)
    assert np.abs(exported - from_weights).max() < 1e-3
