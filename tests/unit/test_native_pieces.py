"""Each piece of the native kernel against NumPy in float64, on every instruction set there is."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_float, c_int32, c_void_p
from dataclasses import dataclass

import numpy as np
import pytest

from rerank_core.engine import native_library as native
from rerank_core.engine.native_weights import int16_limit, rotate
from rerank_core.errors import ArtifactError, ToolMissingError
from tests.native_reference import (
    gelu,
    layer_norm,
    runnable_sets,
    softmax,
)

STORE, ADD, GELU_ROTATED = range(3)
SETS, INT16_SETS = runnable_sets(), runnable_sets("int16")


@pytest.fixture(scope="module", params=SETS)
def piece(request):
    """Calls a piece by name on one instruction set, arrays by their address."""
    return caller(request.param)


@dataclass(frozen=True)
class Rounding:
    """A set's pieces, and the integers it rounds to."""

    piece: Callable[..., None]
    kind: type[np.signedinteger]

    def limit(self, inputs: int) -> int:
        """The largest of them that is used."""
        return int16_limit(inputs) if self.kind is np.int16 else 127


@pytest.fixture(
    scope="module",
    params=[(name, np.int8) for name in SETS] + [(name, np.int16) for name in INT16_SETS],
    ids=lambda given: given[0],
)
def rounding(request):
    """Each set of either width."""
    name, kind = request.param
    return Rounding(caller(name), kind)


def caller(instruction_set):
    library = native.load_library()

    def call(name, *arguments):
        passed = [
            c_void_p(item.ctypes.data) if isinstance(item, np.ndarray) else item
            for item in arguments
        ]
        code = getattr(library, f"rerank_piece_{name}")(instruction_set.encode(), *passed)
        assert code == 0, f"{instruction_set} was said to be usable"

    return call


def heavy_tailed(random, *size):
    """Numbers of which a few are far out, as in a trained encoder's hidden states."""
    return random.standard_t(3, size).astype(np.float32)


def test_there_is_an_instruction_set_to_test():
    """On a machine of these tests at least AVX2 runs; the report names what was covered."""
    print("instruction sets covered:", ", ".join(SETS))  # noqa: T201  -s shows it
    assert "avx2" in SETS


def test_unknown_instruction_set_is_refused():
    """A name that this machine cannot run never reaches a kernel."""
    x = np.zeros(64, np.float32)
    code = native.load_library().rerank_piece_gelu(b"avx1024", c_void_p(x.ctypes.data), 64)
    assert code == -1


def test_quantise_by_hand(piece):
    """127 is the row's largest magnitude, halves go to the even neighbour, the sum is exact."""
    x = np.zeros(64, np.float32)
    x[:5] = [-254.0, 1.0, 3.0, 5.0, 100.0]
    values, scale, total = np.zeros(64, np.int8), np.zeros(1, np.float32), np.zeros(1, np.int32)
    piece("quantise", x, 64, values, scale, total)
    assert scale[0] == 2.0
    assert values[:6].tolist() == [-127, 0, 2, 2, 50, 0]
    assert total[0] == -127 + 0 + 2 + 2 + 50


@pytest.mark.parametrize(("inputs", "limit"), [(384, 2364), (1536, 1182), (64, 5792)])
def test_the_int16_limit_by_hand(inputs, limit):
    """The largest of which `inputs` products of two come to less than 2^31."""
    assert int16_limit(inputs) == limit
    assert inputs * limit**2 < 2**31 <= inputs * (limit + 1) ** 2


@pytest.mark.parametrize("name", INT16_SETS)
def test_quantise_to_int16_by_hand(name):
    """The limit of 64 inputs, 5,792, is the row's largest magnitude; halves go to the even."""
    x = np.zeros(64, np.float32)
    x[:5] = [-11584.0, 1.0, 3.0, 5.0, 100.0]
    values, scale, total = np.ones(64, np.int16), np.zeros(1, np.float32), np.zeros(1, np.int32)
    caller(name)("quantise", x, 64, values, scale, total)
    assert scale[0] == 2.0
    assert values[:6].tolist() == [-5792, 0, 2, 2, 50, 0]
    assert total[0] == -5792 + 0 + 2 + 2 + 50


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf, -np.inf])
def test_quantise_carries_what_is_no_number_into_the_scale(rounding, wrong):
    """Wherever it stands, and whatever comes behind it."""
    for column in range(128):
        x = np.ones(128, np.float32)
        x[column] = wrong
        values = np.zeros(128, rounding.kind)
        scale, total = np.zeros(1, np.float32), np.zeros(1, "i4")
        rounding.piece("quantise", x, 128, values, scale, total)
        assert not np.isfinite(scale[0]), column


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_functions_of_nan_are_nan(piece, name):
    """A bound is not taken for it."""
    x = np.full(16, np.nan, np.float32)
    x[0] = 0
    piece(name, x, 16)
    assert x[0] == 0
    assert np.isnan(x[1:]).all()


def test_rotation_by_hand(piece):
    """A lone 1 in column 3 becomes ones, minus where an odd number of bits is shared with 3."""
    x, out = np.zeros(128, np.float32), np.full(128, np.nan, np.float32)
    x[3], x[64] = 1.0, 2.0
    piece("rotate", x, 128, out)
    assert out[:64].tolist() == [(-1) ** (column & 3).bit_count() for column in range(64)]
    assert out[64:].tolist() == [2.0] * 64


@pytest.mark.parametrize("columns", [64, 192, 1536])
def test_rotation(piece, columns):
    """As NumPy's, also in place; twice is 64 times what it was."""
    x = heavy_tailed(np.random.default_rng(columns), columns)
    out = np.empty_like(x)
    piece("rotate", x, columns, out)
    np.testing.assert_allclose(out, rotate(x[None])[0] * 64, atol=2e-5 * np.abs(x).max())
    piece("rotate", out, columns, out)
    np.testing.assert_allclose(out, 64 * x, atol=1e-3 * np.abs(x).max())


def test_quantise_a_row_of_zeros(rounding):
    """Zeros stay zeros, and the scale is a number."""
    values, scale, total = np.ones(64, rounding.kind), np.zeros(1, np.float32), np.ones(1, "i4")
    rounding.piece("quantise", np.zeros(64, np.float32), 64, values, scale, total)
    assert not values.any()
    assert total[0] == 0
    assert np.isfinite(scale[0])


@pytest.mark.parametrize("columns", [64, 384, 1536])
def test_quantise_is_within_half_a_step(rounding, columns):
    """No value is off by more than half a scale, however heavy the tails."""
    random = np.random.default_rng(columns)
    for _ in range(20):
        x = heavy_tailed(random, columns)
        values = np.zeros(columns, rounding.kind)
        scale, total = np.zeros(1, np.float32), np.zeros(1, np.int32)
        rounding.piece("quantise", x, columns, values, scale, total)
        assert np.abs(values * scale[0] - x).max() <= scale[0] * (0.5 + 1e-4)
        assert total[0] == values.astype(np.int64).sum()
        assert np.abs(values.astype(int)).max() == rounding.limit(columns)


@pytest.mark.parametrize("width", [1, 15, 16, 33, 64, 312, 384, 768])
def test_layer_norm(piece, width):
    """Mean and variance are those of the true width; padding stays zero."""
    random = np.random.default_rng(width)
    columns = -(-width // 64) * 64
    x, scale, shift = (np.zeros(columns, np.float32) for _ in range(3))
    x[:width] = heavy_tailed(random, width) + 3
    scale[:width], shift[:width] = random.normal(1, 0.2, width), random.normal(0, 0.2, width)
    given = x[:width].astype(np.float64)
    wanted = layer_norm(given, scale[:width], shift[:width], 1e-12)
    piece("layer_norm", x, width, columns, scale, shift, c_float(1e-12))
    np.testing.assert_allclose(x[:width], wanted, rtol=2e-5, atol=2e-5)
    assert not x[width:].any()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 16, 17, 31, 32, 33, 70])
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 64), (128, 192), (320, 64), (192, 1536)])
def test_dense_is_exact_up_to_one_rounding_a_step(rounding, rows, outputs, inputs):
    """The sum of products is the integer, at any tail of rows and columns, extremes included."""
    random = np.random.default_rng(rows * outputs)
    most = rounding.limit(inputs)
    values = np.zeros((-(-rows // 32) * 32, inputs), rounding.kind)
    values[:rows] = random.integers(-most, most + 1, (rows, inputs))
    values[0] = most
    weights = random.integers(-most, most + 1, (outputs, inputs)).astype(rounding.kind)
    weights[0], weights[1] = most, -most
    row_scales = (random.uniform(1e-3, 1e-2, rows) * (127 / most) ** 2).astype(np.float32)
    scales = random.uniform(1e-3, 1e-2, outputs).astype(np.float32)
    bias = random.normal(0, 1, outputs).astype(np.float32)
    sums = values[:rows].sum(axis=1, dtype=np.int32)
    dense = native.Dense(weights.ctypes.data, scales.ctypes.data, bias.ctypes.data, outputs, inputs)
    exact = values[:rows].astype(np.int64) @ weights.T.astype(np.int64)
    y = exact * row_scales[:, None].astype(np.float64) * scales + bias
    before = random.normal(0, 1, (rows, outputs)).astype(np.float32)
    bound = 2e-6 + 5e-6 * np.abs(y)
    # A rotated column is a sum of 64 with either sign.
    blocks = (8e-5 + bound).reshape(rows, -1, 64).sum(axis=2)
    rotated_bound = np.repeat(blocks, 64, axis=1)
    for epilogue, wanted, tolerated in (
        (STORE, y, bound),
        (ADD, y + before, bound),
        (GELU_ROTATED, rotate(gelu(y)) * 64, rotated_bound),
    ):
        out = before.copy()
        rounding.piece(
            "dense", values, row_scales, sums, rows, byref(dense), epilogue, out, c_int32(outputs)
        )
        assert (np.abs(out - wanted) <= tolerated).all()


def test_gelu_error_bound(piece):
    """Within 8e-5 on +-12; far out zero and identity, within 5e-6 a unit."""
    x = np.linspace(-12, 12, 160_000, dtype=np.float32)
    y = x.copy()
    piece("gelu", y, len(y))
    assert np.abs(y - gelu(x.astype(np.float64))).max() < 8e-5
    far = np.repeat(np.float32([-100.0, 100.0]), 8)
    piece("gelu", far, 16)
    np.testing.assert_allclose(far, np.repeat([0.0, 100.0], 8), atol=5e-4)


def test_tanh_error_bound(piece):
    """Within 5e-7 everywhere, and bounded by one far out."""
    x = np.concatenate([np.linspace(-30, 30, 16_000), np.linspace(-1e-3, 1e-3, 1600)])
    y = x.astype(np.float32)
    given = y.astype(np.float64)
    piece("tanh", y, len(y))
    assert np.abs(y - np.tanh(given)).max() < 5e-7
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize(("depth", "columns"), [(1, 16), (7, 48), (64, 64), (100, 80)])
def test_multiply(piece, rows, depth, columns):
    """Float products at every tail of the tile."""
    random = np.random.default_rng(rows * depth)
    a, b = heavy_tailed(random, rows, depth), heavy_tailed(random, depth, columns)
    out = np.full((rows, columns), np.nan, np.float32)
    piece("multiply", a, rows, depth, b, columns, out)
    bound = 1e-6 * (np.abs(a).astype(np.float64) @ np.abs(b))
    assert (np.abs(out - a.astype(np.float64) @ b) <= bound + 1e-6).all()


ANY_LENGTH = pytest.mark.parametrize("tokens", [1, 2, 15, 16, 17, 33, 48, 127, 128, 300, 512])
ANY_HEADS = pytest.mark.parametrize(("heads", "head_columns"), [(1, 16), (3, 32), (2, 64), (1, 80)])


def compare_attention(call, tokens, heads, head_columns, tolerated):
    random = np.random.default_rng(tokens * heads)
    columns = heads * head_columns
    key_value = random.normal(0, 1, (tokens, 2 * columns)).astype(np.float32)
    for queries in {1, tokens}:
        query = random.normal(0, 1, (queries, columns)).astype(np.float32)
        out = np.full((queries, columns), np.nan, np.float32)
        call("attention", query, queries, key_value, tokens, heads, head_columns, out)
        split = key_value.astype(np.float64).reshape(tokens, 2, heads, head_columns)
        asked = query.reshape(queries, heads, head_columns)
        scores = softmax(np.einsum("qhd,thd->hqt", asked, split[:, 0]))
        wanted = np.einsum("hqt,thd->qhd", scores, split[:, 1]).reshape(queries, columns)
        np.testing.assert_allclose(out, wanted, atol=tolerated)


@ANY_LENGTH
@ANY_HEADS
def test_attention(piece, tokens, heads, head_columns):
    """Softmax over all tokens and no others, with scores far apart, for all or one query."""
    compare_attention(piece, tokens, heads, head_columns, 3e-5)


@pytest.mark.parametrize("instruction_set", runnable_sets("int8-bf16"))
@ANY_LENGTH
@ANY_HEADS
def test_attention_in_bfloat16(instruction_set, tokens, heads, head_columns):
    """The same with eight bits of each factor: scores of +-40 move by .1, shares by a tenth."""
    compare_attention(caller(instruction_set), tokens, heads, head_columns, 0.15)


def test_pieces_are_bit_equal_across_instruction_sets():
    """What is computed in float gives the same bits on each set, which one name promises."""
    library, random = native.load_library(), np.random.default_rng(5)
    x = heavy_tailed(random, 1024)
    results = set()
    for name in SETS:
        y = x.copy()
        address = ctypes.c_void_p(y.ctypes.data)
        library.rerank_piece_gelu(name.encode(), address, 512)
        library.rerank_piece_tanh(name.encode(), ctypes.c_void_p(y.ctypes.data + 4 * 512), 512)
        results.add(y.tobytes())
    assert len(results) == 1


def test_missing_library_says_how_to_get_it(tmp_path):
    """A library that is not there or none is a clear error, not a crash."""
    broken = tmp_path / "librerank_native.so"
    broken.write_bytes(b"no library")
    with pytest.raises(ToolMissingError, match="cannot be loaded"):
        native.load_library(broken)


def test_peak_counts_its_operations():
    """Twice the steps are twice the operations; a step is a whole number of products."""
    library = native.load_library()
    for name in SETS + INT16_SETS:
        once, twice = (native.peak_operations(library, name, steps) for steps in (3, 6))
        assert twice == 2 * once
        assert once % (3 * 2 * 32) == 0
    with pytest.raises(ArtifactError, match="avx1024 is not to be had"):
        native.peak_operations(library, "avx1024", 1)
