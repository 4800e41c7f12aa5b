"""Every kind of classifier scores on every path as transformers does on the same folder."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from rerank_core.artifact import Output, open_artifact, seal_artifact
from rerank_core.engine import Engine, load_cross_encoder
from rerank_core.engine.static_calibration import calibrate_artifact
from rerank_core.text import DEFAULT_RECIPE
from tests.tiny_models import BareClassifier, make_cross_encoder

QUERY = "cordless drill 18v"
WORDS = ("kit", "with battery", "café", "size 9½", "steel", "oak shelf", "half inch", "chuck & bag")
TEXTS = [" ".join(WORDS[(3 * n + k) % len(WORDS)] for k in range(1 + n)) for n in range(30)]

# Of the outputs' spread, the most that the mean square may be off; int8 is what it is on random
# weights, another head altogether would be off by more than the spread.
TOLERATED = {
    "onnxruntime": 1e-4,
    "native-int8": 0.25,
    "native-int16": 0.02,
    "onnxruntime-int8": 0.5,
}


@pytest.fixture(
    scope="module",
    params=[(True, 1, 0), (False, 1, 0), (True, 3, 2), (False, 3, 2), (False, 2, 1)],
    ids=lambda param: f"{'pooler' if param[0] else 'bare'}, {param[1]} outputs",
)
def head(request, tmp_path_factory):
    """A calibrated folder, the output that counts, and transformers' logits of all pairs."""
    pooler, labels, index = request.param
    folder = make_cross_encoder(tmp_path_factory.mktemp("m") / "m", labels=labels, pooler=pooler)
    artifact = seal_artifact(
        folder,
        name="tiny",
        kind="cross-encoder",
        recipe=DEFAULT_RECIPE,
        output=Output(index=index, activation="softmax" if labels == 2 else "identity"),
    )
    rows = load_cross_encoder(artifact, "onnxruntime").composer(QUERY)(TEXTS)
    calibrate_artifact(artifact, [rows], "the pairs of this test")
    return folder, index, logits_of_reference(folder, pooler=pooler)


def reference(folder, *, pooler):
    kind = BertForSequenceClassification if pooler else BareClassifier
    return kind.from_pretrained(folder).eval()


def logits_of_reference(folder, *, pooler):
    given = AutoTokenizer.from_pretrained(folder)(
        [QUERY] * len(TEXTS), TEXTS, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        found = reference(folder, pooler=pooler)(**given)
    return (found.logits if pooler else found).numpy()


def scores(folder, choice):
    with Engine(1) as engine:
        scored = dict(
            engine.submit(load_cross_encoder(open_artifact(folder), choice), QUERY, TEXTS)
        )
    return np.array([scored[place] for place in range(len(TEXTS))])


def wanted_scores(index, logits):
    """The output of that index; of two that share a softmax, how much the one is above the other.

    For then their shares are those of a logistic function of the difference.
    """
    return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, index]


@pytest.mark.parametrize("choice", TOLERATED)
def test_every_head_scores_as_in_transformers(head, choice):
    """With a pooler and without, with one output and several, on each path."""
    folder, index, logits = head
    wanted = wanted_scores(index, logits)
    off = np.sqrt(((scores(folder, choice) - wanted) ** 2).mean()) / wanted.std()
    assert off < TOLERATED[choice]


def test_an_export_without_a_pooler_scores_alike(tmp_path):
    """An exporter's graph knows its own head: nothing need be said of it."""
    folder = make_cross_encoder(tmp_path / "bare", labels=1, pooler=False)
    artifact = seal_artifact(folder, name="b", kind="cross-encoder", recipe=DEFAULT_RECIPE)
    wanted = scores(artifact.folder, "onnxruntime")
    names = ("input_ids", "attention_mask", "token_type_ids")

    class ByPosition(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = reference(folder, pooler=False)

        def forward(self, *tensors):
            """Logits."""
            return self.model(**dict(zip(names, tensors, strict=True)))

    (folder / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its own tracing
        torch.onnx.export(
            ByPosition(),
            tuple(torch.ones(2, 5, dtype=torch.long) for _ in names),
            str(folder / "onnx" / "model.onnx"),
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in names},
            dynamo=False,
        )
    (folder / "model.safetensors").unlink()
    seal_artifact(folder, name="b", kind="cross-encoder", recipe=DEFAULT_RECIPE)
    assert np.abs(scores(folder, "onnxruntime") - wanted).max() < 1e-3
