"""What cannot be computed is refused when the folder is loaded, by name and with the mend."""

from __future__ import annotations

import json
import shutil
import warnings
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch
from transformers import AutoModel

from rerank_core.artifact import Output, open_artifact, seal_artifact
from rerank_core.engine import Engine, load_bi_encoder, load_cross_encoder
from rerank_core.engine.graph import encoder_graph
from rerank_core.engine.model import log_odds
from rerank_core.engine.onnx_path import OnnxPath
from rerank_core.engine.selection import PathChoice
from rerank_core.engine.shape import read_shape
from rerank_core.engine.static_calibration import calibrate_artifact
from rerank_core.engine.weights import read_weights
from rerank_core.errors import ArtifactError
from rerank_core.text import ProductTextRecipe
from tests.tiny_models import make_bi_encoder, make_cross_encoder

WEIGHT = "bert.encoder.layer.1.output.dense.weight"
WORDS = "bert.embeddings.word_embeddings.weight"
TEXTS = ["garden hose", "", "oak shelf 3/8 in. with brackets"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "cross": make_cross_encoder(root / "cross"),
        "three": make_cross_encoder(root / "three", labels=3),
        "bare": make_cross_encoder(root / "bare", pooler=False),
        "bi": make_bi_encoder(root / "bi"),
    }


@pytest.fixture
def cross(made, tmp_path):
    return shutil.copytree(made["cross"], tmp_path / "cross")


@pytest.fixture
def three(made, tmp_path):
    """With three outputs."""
    return shutil.copytree(made["three"], tmp_path / "three")


@pytest.fixture
def bare(made, tmp_path):
    """Without a pooler."""
    return shutil.copytree(made["bare"], tmp_path / "bare")


@pytest.fixture
def bi(made, tmp_path):
    return shutil.copytree(made["bi"], tmp_path / "bi")


def tensors(folder):
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict


def edit(folder, name="config.json", **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(load, folder):
    with pytest.raises(ArtifactError) as caught:
        load(open_artifact(folder))
    message = str(caught.value)
    assert str(folder) in message
    return message


def scores(folder):
    with Engine(1) as engine:
        scored = dict(engine.submit(load_cross_encoder(open_artifact(folder)), "hose", TEXTS))
    return np.array([scored[index] for index in range(len(TEXTS))])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop(WEIGHT), "tensor encoder.layer.1.output.dense.weight is missing; save"),
        (lambda t: t.pop("bert.pooler.dense.bias"), "pooler.dense.bias is missing"),
        (
            lambda t: [t.pop(f"bert.pooler.dense.{part}") for part in ("weight", "bias")],
            'say "add_pooling_layer": false in config.json',
        ),
        (lambda t: t.pop("classifier.bias"), "classifier"),
        (lambda t: t.update({WEIGHT: t[WEIGHT][:, :-1].copy()}), "(32, 63), config.json says (32,"),
        (lambda t: t[WEIGHT].__setitem__((3, 4), np.nan), "dense.weight holds NaN or infinity"),
        (lambda t: t[WEIGHT].__setitem__((3, 4), np.inf), "dense.weight holds NaN or infinity"),
        (
            lambda t: t[WORDS].__setitem__(7, 3e38),
            "word_embeddings.weight holds 3e+38, beyond 1e+15",
        ),
        (lambda t: t.update({WEIGHT: t[WEIGHT].astype(np.int8)}), "is of type I8; save the model"),
    ],
)
def test_a_tensor_that_is_wrong_is_named(cross, change, told):
    stored = tensors(cross)
    change(stored)
    save_file(stored, cross / "model.safetensors")
    message = refusal(load_cross_encoder, cross)
    assert told in message
    assert "model.safetensors" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("choice", get_args(PathChoice))
def test_weights_that_are_not_finite_are_refused_on_every_path(cross, choice, value):
    """By the tensor's name, before any path is built."""
    stored = tensors(cross)
    stored[WEIGHT][3, 4] = value
    save_file(stored, cross / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"layer.1.output.dense.weight holds NaN or infinity"):
        load_cross_encoder(open_artifact(cross), choice)


def test_bfloat16_is_refused_with_the_mend(cross):
    stored = {name: torch.from_numpy(value).bfloat16() for name, value in tensors(cross).items()}
    save_torch(stored, cross / "model.safetensors")
    assert "is of type BF16; save the model in one of" in refusal(load_cross_encoder, cross)


def test_half_precision_weights_score_nearly_alike(cross):
    """Shipped in fp16, computed in fp32: the difference is that of the weights' rounding."""
    full = scores(cross)
    save_file(
        {name: value.astype(np.float16) for name, value in tensors(cross).items()},
        cross / "model.safetensors",
    )
    half = scores(cross)
    assert (half != full).any()
    assert np.abs(half - full).max() < 0.05 * np.abs(full).max()


@pytest.mark.parametrize("layers", [1, 3, 2_000_000_000])
def test_another_number_of_layers_is_refused(cross, layers):
    """Fewer would score, and wrongly; how many there should be costs nothing."""
    edit(cross, num_hidden_layers=layers)
    message = refusal(load_cross_encoder, cross)
    assert "model.safetensors: has 2 layers, config.json says num_hidden_layers is" in message


def test_a_tokenizer_that_is_no_text_is_refused(cross):
    (cross / "tokenizer.json").write_bytes(b"\xff\xfe{}")
    message = refusal(load_cross_encoder, cross)
    assert "tokenizer.json: cannot be read" in message


def test_json_that_nests_without_end_is_refused(cross):
    (cross / "config.json").write_text("[" * 200_000)
    assert "config.json: not JSON" in refusal(load_cross_encoder, cross)


def test_weights_that_are_no_safetensors_are_refused(cross):
    (cross / "model.safetensors").write_bytes(b"junk" * 9)
    assert "copy the file anew" in refusal(load_cross_encoder, cross)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', the engine computes 'bert'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', the engine computes 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True, the engine computes False"),
        ({"num_hidden_layers": None}, "num_hidden_layers must be a positive whole number"),
        ({"hidden_size": 32.0}, "hidden_size must be a positive whole number"),
        ({"intermediate_size": 0}, "intermediate_size must be a positive whole number"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps must be a small number"),
        ({"num_attention_heads": 5}, "hidden_size is no multiple of num_attention_heads"),
        ({"type_vocab_size": 1}, "type_vocab_size must be 2 for pairs"),
        ({"max_position_embeddings": 128}, "rows of up to 163 tokens"),
        ({"num_hidden_layers": 3}, "has 2 layers, config.json says num_hidden_layers is 3"),
        ({"vocab_size": 30000}, "(30522, 32), config.json says (30000, 32)"),
    ],
)
def test_a_config_that_is_not_computed_is_refused_by_key(cross, change, told):
    edit(cross, **change)
    assert told in refusal(load_cross_encoder, cross)


def test_a_missing_key_of_the_architecture_stands_for_its_usual_value(cross):
    """Old folders do not say what was not yet a choice; what they are must be said."""
    path = cross / "config.json"
    config = json.loads(path.read_text())
    for key in ("hidden_act", "position_embedding_type", "is_decoder", "layer_norm_eps"):
        config.pop(key, None)
    path.write_text(json.dumps(config))
    load_cross_encoder(open_artifact(cross))
    config.pop("model_type")
    path.write_text(json.dumps(config))
    assert "model_type is None" in refusal(load_cross_encoder, cross)


def test_a_tokenizer_of_another_model_is_refused(cross):
    """An id past the embedding table fails at load, not at the first text that has it."""
    path = cross / "tokenizer.json"
    data = json.loads(path.read_text())
    data["model"]["vocab"]["far"] = 30_522
    path.write_text(json.dumps(data))
    message = refusal(load_cross_encoder, cross)
    assert "tokenizer.json has ids up to 30522, the model reads 30522" in message


def test_a_tokenizer_of_a_smaller_model_is_refused(cross):
    """The cased one has 28,996 words and frames pairs alike; other words stand behind its ids."""
    path = cross / "tokenizer.json"
    data = json.loads(path.read_text())
    words = data["model"]["vocab"]
    data["model"]["vocab"] = {word: at for word, at in words.items() if at < 28_996}
    path.write_text(json.dumps(data))
    message = refusal(load_cross_encoder, cross)
    assert "tokenizer.json has 28996 ids, the model reads 30522" in message
    # A table that is padded for the sake of speed is no other model's.
    data["model"]["vocab"] = {word: at for word, at in words.items() if at < 30_522 - 127}
    path.write_text(json.dumps(data))
    load_cross_encoder(open_artifact(cross))


def test_a_tokenizer_of_another_family_is_refused(cross):
    """It would frame a pair with other tokens than the model was trained on."""
    path = cross / "tokenizer.json"
    data = json.loads(path.read_text()) | {"post_processor": None}
    path.write_text(json.dumps(data))
    assert "not of the BERT family" in refusal(load_cross_encoder, cross)


def test_a_tokenizer_that_is_none_is_refused(cross):
    (cross / "tokenizer.json").write_text("{}")
    assert "tokenizer.json" in refusal(load_cross_encoder, cross)


def seal(folder, **output):
    recipe = ProductTextRecipe(fields=("title",))
    return seal_artifact(
        folder, name="x", kind="cross-encoder", recipe=recipe, output=Output(**output)
    )


def test_an_output_that_the_classifier_lacks_is_refused(three):
    for index in (2, 3, -1):
        seal(three, index=index)
        if index == 2:
            load_cross_encoder(open_artifact(three))
        else:
            message = refusal(load_cross_encoder, three)
            assert f"output.index is {index}, the classifier has 3 outputs" in message


def test_several_outputs_are_not_guessed_at(three, cross):
    """The first of three may well be "irrelevant"; the first of one is the relevance."""
    message = refusal(load_cross_encoder, three)
    assert "has 3 outputs and nothing says which is the relevance; seal the folder" in message
    load_cross_encoder(open_artifact(cross))
    with pytest.raises(ArtifactError, match="nothing says which is the relevance"):
        calibrate_artifact(open_artifact(three), [], "made up")


def test_a_share_of_one_output_is_refused(cross):
    """Softmax of one number is 1."""
    seal(cross, activation="softmax")
    assert "output.activation is softmax, the classifier has one" in refusal(
        load_cross_encoder, cross
    )


def test_log_odds_by_hand():
    """Shares .2, .3 and .5: odds 1 to 4, 3 to 7, even; of two outputs it is their difference."""
    shares = np.log(np.float32([[0.2, 0.3, 0.5]])) + np.float32(7)
    found = [float(log_odds(shares, index)[0]) for index in range(3)]
    assert found == pytest.approx([np.log(1 / 4), np.log(3 / 7), 0.0], abs=1e-6)
    two = np.float32([[1.5, -2.25], [300.0, -300.0]])
    assert log_odds(two, 1).tolist() == [-3.75, -600.0]
    assert log_odds(two, 0).dtype == np.float32


def test_log_odds_do_not_know_their_company():
    """Bit by bit the same for a row alone and among 100."""
    outputs = np.random.default_rng(1).normal(0, 9, (100, 7)).astype(np.float32)
    together = log_odds(outputs, 3)
    assert np.isfinite(together).all()
    assert [
        float(log_odds(outputs[row : row + 1], 3)[0]) for row in range(100)
    ] == together.tolist()


def test_a_pooler_that_config_json_denies_is_refused(cross, bare):
    """One of the two is wrong, and the score depends on which; so does a word that is none."""
    edit(cross, add_pooling_layer=False)
    message = refusal(load_cross_encoder, cross)
    assert "pooler.dense.bias, config.json says add_pooling_layer is false" in message
    edit(bare, add_pooling_layer="no", architectures=["BertForSequenceClassification"])
    assert "add_pooling_layer must be true or false, it is 'no'" in refusal(
        load_cross_encoder, bare
    )
    edit(bare, add_pooling_layer=True)
    assert "tensor pooler.dense.weight is missing" in refusal(load_cross_encoder, bare)


def test_a_model_of_the_other_kind_is_refused(cross, bi):
    assert "is a bi-encoder, a cross-encoder is needed" in refusal(load_cross_encoder, bi)
    assert "is a cross-encoder, a bi-encoder is needed" in refusal(load_bi_encoder, cross)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "known: mean, cls"),
        ("1_Pooling/config.json", {}, "known: mean, cls"),
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "models.Dense"),
        ("modules.json", ["Transformer"], "module Transformer is not known"),
        ("modules.json", {}, "must hold one JSON list"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "'query'"),
    ],
)
def test_what_would_change_a_vector_unnoticed_is_refused(bi, name, content, told):
    (bi / name).write_text(json.dumps(content))
    message = refusal(load_bi_encoder, bi)
    assert told in message
    assert name in message


def test_pooling_is_read_in_both_spellings(bi):
    """`pooling_mode` of newer folders, flags of older ones."""
    with Engine(1) as engine:
        flags = engine.encode(load_bi_encoder(open_artifact(bi)), TEXTS)
        (bi / "1_Pooling/config.json").write_text('{"pooling_mode": "mean"}')
        mode = engine.encode(load_bi_encoder(open_artifact(bi)), TEXTS)
        (bi / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
        cls = engine.encode(load_bi_encoder(open_artifact(bi)), TEXTS)
    assert (flags == mode).all()
    assert not np.allclose(cls, mode, atol=1e-2)


def test_the_session_keeps_no_hold_on_the_arrays_it_was_made_from(cross):
    """ONNX Runtime copies the weights, which is why they need not live on beside it."""
    shape = read_shape(open_artifact(cross))
    weights = read_weights(cross / "model.safetensors", shape, classifier=True)
    graph = encoder_graph(weights, shape, None)
    path = OnnxPath(graph)
    tokens = load_cross_encoder(open_artifact(cross)).composer("hose")(["garden hose"])
    before = path.forward(tokens)
    for array in graph.initializers.values():
        array.fill(np.nan)
    assert (path.forward(tokens) == before).all()


class Exported(torch.nn.Module):
    """Hidden states of an encoder, tensors by position."""

    def __init__(self, folder):
        super().__init__()
        self.model = AutoModel.from_pretrained(folder).eval()

    def forward(self, ids, mask):
        """Two inputs alone, as some exporters leave it."""
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


def export(folder, names, dynamic):
    (folder / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about its own tracing
        torch.onnx.export(
            Exported(folder),
            (torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)),
            str(folder / "onnx/model.onnx"),
            input_names=names,
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in names} if dynamic else None,
            dynamo=False,
        )
    (folder / "model.safetensors").unlink()


def test_an_export_without_type_ids_serves_texts(bi):
    """Inputs that the graph does not have are not given to it."""
    with Engine(1) as engine:
        expected = engine.encode(load_bi_encoder(open_artifact(bi), "onnxruntime"), TEXTS)
        export(bi, ["input_ids", "attention_mask"], dynamic=True)
        model = load_bi_encoder(open_artifact(bi))
        vectors = engine.encode(model, TEXTS)
    assert (model.dimensions, model.numeric_path) == (32, "onnxruntime-exported")
    assert np.abs(vectors - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("names", "dynamic", "told"),
    [
        (["input_ids", "attention_mask"], False, "export it with dynamic axes"),
        (["input_ids", "mystery"], True, "unknown inputs ['mystery']"),
    ],
)
def test_an_export_that_cannot_serve_is_refused(bi, names, dynamic, told):
    export(bi, names, dynamic)
    assert told in refusal(load_bi_encoder, bi)


@pytest.mark.parametrize("name", ["model.onnx_data", "model.onnx.data", "weights.bin"])
def test_weights_of_an_export_lie_where_they_are_hashed(bi, name):
    """Under another name their bytes could change, and no checksum would."""
    export(bi, ["input_ids", "attention_mask"], dynamic=True)
    graph = onnx.load(bi / "onnx/model.onnx")
    onnx.save(
        graph, bi / "onnx/model.onnx", save_as_external_data=True, location=name, size_threshold=0
    )
    if name in ("model.onnx_data", "model.onnx.data"):
        assert load_bi_encoder(open_artifact(bi)).numeric_path == "onnxruntime-exported"
    else:
        message = refusal(load_bi_encoder, bi)
        assert "lies in 'weights.bin', which no checksum covers" in message


def test_an_export_of_the_other_kind_is_refused(bi, tmp_path):
    """Hidden states in a cross-encoder's folder."""
    export(bi, ["input_ids", "attention_mask"], dynamic=True)
    edit(bi, architectures=["BertForSequenceClassification"])
    message = refusal(load_cross_encoder, bi)
    assert "first output has 3 axes; a cross-encoder gives logits (2)" in message


def test_an_export_that_is_no_onnx_is_refused(bi):
    (bi / "onnx").mkdir()
    (bi / "onnx/model.onnx").write_bytes(b"junk")
    (bi / "model.safetensors").unlink()
    assert "no ONNX graph" in refusal(load_bi_encoder, bi)
