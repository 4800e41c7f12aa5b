"""The native path as the engine sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rerank_core.engine.native import NativePath, neighbouring_units, unit_tokens
from rerank_core.engine.shape import BertShape
from rerank_core.errors import ArtifactError, ScoringError
from rerank_core.text import PackedTokens
from tests.native_reference import (
    Reference,
    every_set,
    random_rows,
    random_weights,
    runnable_sets,
)

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)


def test_units_are_neighbours_in_order():
    """Rows stay in order, a unit passes the budget only with a single long row."""
    units = neighbouring_units(np.array([60, 60, 20, 200, 5, 123, 1]), 128)
    assert [unit.tolist() for unit in units] == [[0, 1], [2], [3], [4, 5], [6]]


def test_units_of_few_layers_on_few_cores_are_twice_as_long():
    """They are short; many cores want many of them."""
    assert [unit_tokens(layers, 2) for layers in (2, 3, 4, 6)] == [256, 256, 128, 128]
    assert [unit_tokens(3, cores) for cores in (1, 4, 5, 64)] == [256, 256, 128, 128]


def test_no_rows_no_units():
    """Nothing to do is no unit, and an empty forward pass an empty answer."""
    assert neighbouring_units(np.zeros(0, np.int64)) == []
    path = NativePath(random_weights(SHAPE), SHAPE)
    assert path.forward(PackedTokens.pack([])).shape == (0, 1)


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
@pytest.mark.parametrize("instruction_set", runnable_sets("int16"))
def test_int16_is_nearer_to_fp32_than_int8(pooling, instruction_set):
    """Eight times at least, from 1 to 512 tokens, and what NumPy's encoder in int16 gives."""
    weights = random_weights(SHAPE, outputs=3)
    path = NativePath(weights, SHAPE, pooling, precision="int16", instruction_set=instruction_set)
    assert (path.name, path.deterministic) == ("native-int16", True)
    tokens = random_rows(SHAPE, [1, 2, 16, 17, 65, 512])
    found = path.forward(tokens)
    in_float = Reference(weights, SHAPE, pooling, precision=None).forward(tokens)
    in_int16 = Reference(weights, SHAPE, pooling, precision="int16").forward(tokens)
    in_int8 = NativePath(weights, SHAPE, pooling).forward(tokens)
    apart = np.abs(found - in_float).mean()
    assert apart < np.abs(in_int8 - in_float).mean() / 8
    assert np.abs(found - in_int16).max() < 0.01
    for row in range(len(tokens)):
        assert (path.forward(tokens.rows(np.array([row])))[0] == found[row]).all()


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
@pytest.mark.parametrize("instruction_set", runnable_sets())
def test_lengths_up_to_512(pooling, instruction_set):
    """1 and 512 tokens and what lies between agree with NumPy's int8 encoder."""
    weights = random_weights(SHAPE, outputs=3)
    path = NativePath(weights, SHAPE, pooling, instruction_set=instruction_set)
    tokens = random_rows(SHAPE, [1, 2, 16, 17, 65, 512])
    wanted = Reference(weights, SHAPE, pooling).forward(tokens)
    error = np.abs(path.forward(tokens) - wanted)
    # A rounding to int8 that falls the other way moves a row by a fraction of a step.
    assert error.max() < 0.06
    assert np.median(error) < 0.01
    assert path.columns == wanted.shape[1]
    in_float = Reference(weights, SHAPE, pooling, precision=None).forward(tokens)
    assert error.mean() < np.abs(wanted - in_float).mean() / 2


def test_a_classifier_without_pooler():
    """A bare linear head on the first token."""
    bare = replace(SHAPE, pooler=False)
    weights = random_weights(bare)
    tokens = random_rows(bare, [5, 9])
    out = NativePath(weights, bare).forward(tokens)
    np.testing.assert_allclose(out, Reference(weights, bare).forward(tokens), atol=0.05)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([[50]], "out of the model's range"),
        ([[-1]], "out of the model's range"),
        ([[1, 2], []], "row 1 has 0 tokens"),
        ([[1] * 513], "513 tokens; 1 to 512"),
    ],
)
def test_rows_out_of_range_are_refused(rows, word):
    """Ids and lengths beyond the model's are an error that names the row, never a wild read."""
    path = NativePath(random_weights(SHAPE), SHAPE)
    with pytest.raises(ScoringError, match=word):
        path.forward(PackedTokens.pack(rows))


def test_type_ids_out_of_range_are_refused():
    """As ids are."""
    path = NativePath(random_weights(SHAPE), SHAPE)
    tokens = PackedTokens(np.ones(3, np.int32), np.full(3, 2, np.int32), np.array([0, 3]))
    with pytest.raises(ScoringError, match="type out of the model's range"):
        path.forward(tokens)


def test_offsets_that_run_backwards_are_refused():
    """Rows of negative length never reach the kernels."""
    path = NativePath(random_weights(SHAPE), SHAPE)
    tokens = PackedTokens(np.ones(3, np.int32), np.zeros(3, np.int32), np.array([0, 2, 1, 3]))
    with pytest.raises(ScoringError, match="row 1 has -1 tokens"):
        path.forward(tokens)


@pytest.mark.parametrize(
    ("offsets", "word"),
    [
        ([1, 3], "the first row does not begin at 0"),
        ([-1, 3], "the first row does not begin at 0"),
        ([0, 2], "rows end at 2, there are 3 ids and 3 type ids"),
        ([0, 4], "rows end at 4, there are 3 ids and 3 type ids"),
        ([0, 1, -(2**63), 3], "row 1 has "),
    ],
)
def test_offsets_that_do_not_span_the_ids_are_refused(offsets, word):
    """Nothing is read before the first id or past the last."""
    path = NativePath(random_weights(SHAPE), SHAPE)
    tokens = PackedTokens(np.ones(3, np.int32), np.zeros(3, np.int32), np.array(offsets))
    with pytest.raises(ScoringError, match=word):
        path.forward(tokens)


def test_a_missing_type_id_is_refused():
    """As a missing id is."""
    path = NativePath(random_weights(SHAPE), SHAPE)
    tokens = PackedTokens(np.ones(3, np.int32), np.zeros(2, np.int32), np.array([0, 3]))
    with pytest.raises(ScoringError, match="3 ids and 2 type ids"):
        path.forward(tokens)


def test_positions_have_a_limit():
    """What a row's attention takes must be countable."""
    with pytest.raises(ArtifactError, match="65,536"):
        NativePath(random_weights(SHAPE), replace(SHAPE, positions=65_537))


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
@pytest.mark.parametrize(("precision", "instruction_set"), every_set())
def test_an_overflow_is_never_a_finite_score(pooling, precision, instruction_set):
    """Wherever in a row its token stands; rows beside it keep their bits."""
    weights = random_weights(SHAPE)
    weights["embeddings.word_embeddings.weight"][7] = 3e38
    path = NativePath(weights, SHAPE, pooling, precision=precision, instruction_set=instruction_set)
    tokens = PackedTokens.pack([[3, 4, 5], [7, 3, 4], [3, 7, 4], [9] * 40 + [7], [3, 4, 5]], 2)
    found = path.forward(tokens)
    assert not np.isfinite(found[1:4]).any()
    alone = path.forward(tokens.rows(np.array([0])))
    assert np.isfinite(alone).all()
    assert (found[[0, 4]] == alone).all()


def test_widths_beyond_int32_sums_are_refused():
    """A feed-forward network whose sums could overflow is refused with the limit."""
    shape = BertShape(1, 16, 1, 65_473, 5, 8, 2, 1e-12)
    with pytest.raises(ArtifactError, match="65,472"):
        NativePath(random_weights(shape), shape)


@pytest.mark.parametrize(
    ("precision", "instruction_set"), [("int8", "avx2-int16"), ("int16", "avx2")]
)
def test_a_set_of_another_precision_is_refused(precision, instruction_set):
    """Weights of one width would be read as of another."""
    with pytest.raises(ArtifactError, match=f"{instruction_set} does not compute in {precision}"):
        NativePath(
            random_weights(SHAPE), SHAPE, precision=precision, instruction_set=instruction_set
        )


def test_an_instruction_set_that_is_not_there_is_refused():
    """Forcing one is an error, never another one silently."""
    with pytest.raises(ArtifactError, match="avx1024 is not to be had"):
        NativePath(random_weights(SHAPE), SHAPE, instruction_set="avx1024")


def test_tables_live_as_long_as_the_path():
    """Embeddings are read in place; dropping the caller's weights does not pull them away."""
    tokens = random_rows(SHAPE, [7])
    weights = random_weights(SHAPE)
    path = NativePath(weights, SHAPE)
    before = path.forward(tokens)
    weights.clear()
    _ = [np.full(50 * 64, 9.0, np.float32) for _ in range(200)]
    assert (path.forward(tokens) == before).all()


@pytest.mark.parametrize("instruction_set", runnable_sets("int8-bf16"))
def test_bfloat16_attention_is_near_and_deterministic(instruction_set):
    """Near the path in float under a name of its own; a row does not know its company."""
    weights = random_weights(SHAPE, spread=0.1)
    tokens = random_rows(SHAPE, [1, 2, 16, 17, 65, 200, 512])
    path = NativePath(weights, SHAPE, precision="int8-bf16", instruction_set=instruction_set)
    assert (path.name, path.deterministic) == ("native-int8-bf16", True)
    together = path.forward(tokens)
    in_float = NativePath(weights, SHAPE).forward(tokens)
    assert 0 < np.abs(together - in_float).max() < 0.15
    for row in range(len(tokens)):
        assert (path.forward(tokens.rows(np.array([row])))[0] == together[row]).all()


def test_bfloat16_attention_is_refused_without_tiles(monkeypatch):
    """By what the machine lacks and what to choose instead."""
    monkeypatch.setattr("rerank_core.engine.native_library.instruction_sets", lambda *_: [])
    with pytest.raises(ArtifactError, match="needs AMX, which this machine lacks; choose native"):
        NativePath(random_weights(SHAPE), SHAPE, precision="int8-bf16")


def test_stages_are_those_of_a_forward_pass():
    """Each by its name, none negative, and rows out of range are refused as ever."""
    path = NativePath(random_weights(SHAPE), SHAPE)
    found = path.stages(random_rows(SHAPE, [5, 300]))
    assert list(found) == [
        "embedding",
        "quantising",
        "key-value-query",
        "attention",
        "attention-output",
        "normalising",
        "ffn-in",
        "ffn-out",
        "head",
    ]
    assert min(found.values()) > 0
    with pytest.raises(ScoringError, match="out of the model's range"):
        path.stages(PackedTokens.pack([[50]]))
