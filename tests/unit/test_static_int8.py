"""Static int8 on ONNX Runtime: exact products, calibrated ranges, scores that do not travel."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.listing import write_listing
from demo.products import make_products
from rerank_core.artifact import Licence, named_folder, open_artifact, seal_artifact
from rerank_core.engine import Engine, load_bi_encoder, load_cross_encoder
from rerank_core.engine.shape import BertShape
from rerank_core.engine.static_calibration import (
    calibrate_artifact,
    measure_ranges,
    read_ranges,
)
from rerank_core.engine.static_graph import affine, input_names, quantise_weight
from rerank_core.engine.static_path import static_int8_path
from rerank_core.errors import ArtifactError
from rerank_core.text import PackedTokens
from tests.native_reference import Reference, random_rows, random_weights
from tests.tiny_models import make_bi_encoder, make_cross_encoder

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)
# No width is a whole number of vectors: what is left over must not depend on its place.
ODD = BertShape(2, 15, 3, 37, 50, 96, 2, 1e-12)

QUERY = "cordless drill 18v with battery"
TEXTS = [
    "Cordless Drill/Driver Kit 18V, 2 batteries & charger",
    "",
    "12 in. x 24 in. white marble tile",
    "🔩🔧",
    "Brushless hammer drill, tool only — café edition ½ in. " * 4,
    "battery",
    "Garden hose 50 ft.",
    "shelf 3/8 in. with brackets",
    "oak",
    "Wood screws, 100 pcs., steel, zinc-plated, 4 mm x 40 mm",
]


# A shop's texts beside the odd ones: ranges of ten rows are too narrow for any others.
SHOP = [" ".join(map(str, write_listing(one, 3).values())) for one in make_products(40, seed=3)]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """The shipped student with ranges of a few rows of its own."""
    folder = tmp_path_factory.mktemp("student") / "student"
    shutil.copytree(named_folder("student"), folder)
    artifact = open_artifact(folder)
    rows = load_cross_encoder(artifact, "onnxruntime").composer(QUERY)(TEXTS + SHOP)
    return load_cross_encoder(calibrate_artifact(artifact, [rows], "made up"), "onnxruntime-int8")


def outputs(path, tokens, order):
    """In the path's units, the rows in `order`."""
    shuffled = tokens.rows(np.array(order))
    found = np.empty((len(tokens), path.columns), np.float32)
    for unit in path.plan(shuffled):
        found[np.array(order)[unit]] = path.forward(shuffled.rows(unit))
    return found


def alone(path, tokens):
    """Each row in a forward pass of its own."""
    return np.concatenate(
        [path.forward(tokens.rows(np.array([row]))) for row in range(len(tokens))]
    )


def test_affine_by_hand():
    """0 is a step of its own, and the ends of the range are the ends of uint8."""
    scale, zero = affine(-1.0, 1.55)
    assert (float(scale), int(zero)) == (pytest.approx(0.01), 100)
    assert [int(end) for end in affine(0.5, 2.55)] == [0, 0]  # widened down to 0
    assert int(affine(-2.55, -0.5)[1]) == 255  # and up
    assert int(affine(0.0, 0.0)[1]) == 0


def test_weights_have_seven_bits():
    """-64..64 a row: two products with 255 stay below the 32,767 that AVX2 saturates at."""
    quantised, scales = quantise_weight(np.array([[1.0, -0.5], [0.0, 0.0], [3, 0.02]], np.float32))
    assert quantised.tolist() == [[64, -32], [0, 0], [64, 0]]
    assert scales[0] == pytest.approx(1 / 64)
    assert 2 * 255 * int(np.abs(quantised).max()) <= 32_767


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
def test_it_computes_what_numpy_computes(pooling):
    """Within the steps of int8 of the encoder in float64, with ranges of the very rows."""
    weights = random_weights(SHAPE, outputs=3, spread=0.05)
    tokens = random_rows(SHAPE, [2, 9, 9, 65])
    ranges = measure_ranges(weights, SHAPE, pooling, [tokens], "made up").ranges
    path = static_int8_path(weights, SHAPE, pooling, ranges)
    wanted = Reference(weights, SHAPE, pooling, precision=None).forward(tokens)
    found = outputs(path, tokens, range(4))
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.1 * np.sqrt((wanted**2).mean())


@given(order=st.permutations(range(len(TEXTS))), kept=st.integers(1, len(TEXTS)))
@settings(max_examples=20, deadline=None)
def test_a_score_is_bit_equal_in_any_company(student, order, kept):
    """Alone, in any order, in any part of the request."""
    tokens = student.composer(QUERY)(TEXTS)
    expected = alone(student.path, tokens)
    part = tokens.rows(np.array(order[:kept]))
    found = outputs(student.path, part, range(kept))
    assert (found == expected[order[:kept]]).all()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_score_is_bit_equal_for_any_number_of_workers(student, workers):
    """Through the engine, among twins that make its batches large."""
    expected = alone(student.path, student.composer(QUERY)(TEXTS))[:, 0]
    with Engine(workers) as engine:
        scored = dict(engine.submit(student, QUERY, TEXTS * 7))
    found = np.array([scored[index] for index in range(len(TEXTS) * 7)]).reshape(7, -1)
    assert (found == expected).all()
    assert student.deterministic


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
@pytest.mark.parametrize("shape", [SHAPE, ODD])
def test_bits_hold_on_widths_that_fill_no_vector(shape, pooling):
    """Batches of 1 to 40 rows of one length, each row as alone."""
    weights = random_weights(shape, outputs=3)
    tokens = random_rows(shape, [7] * 40 + [1, 2, 96])
    ranges = measure_ranges(weights, shape, pooling, [tokens], "made up").ranges
    path = static_int8_path(weights, shape, pooling, ranges)
    expected = alone(path, tokens)
    for count in (2, 3, 5, 40):
        assert (path.forward(tokens.rows(np.arange(count))) == expected[:count]).all()
    assert (outputs(path, tokens, range(len(tokens))) == expected).all()


def test_ranges_are_what_numpy_sees():
    """The first layer's input is the normalised embeddings: their ends, over all calls."""
    weights = random_weights(SHAPE)
    parts = [random_rows(SHAPE, [5, 30], seed=1), random_rows(SHAPE, [12], seed=2)]
    calibration = measure_ranges(weights, SHAPE, None, parts, "made up")
    reference = Reference(weights, SHAPE, precision=None)
    states = []
    reference._layer = lambda x, layer: (states.append(x) if layer == 0 else None, x)[1]
    for part in parts:
        reference.forward(part)
    seen = np.concatenate(states)
    wanted = (seen.min(), seen.max())
    assert calibration.ranges["encoder.layer.0.attention.self"] == pytest.approx(wanted, rel=1e-4)
    assert list(calibration.ranges) == input_names(SHAPE)
    assert calibration.rows == 3


def test_the_manifest_keeps_the_ranges_and_all_else(tmp_path):
    """Calibrating writes `quantisation` and leaves the rest of the manifest."""
    folder = shutil.copytree(named_folder("student"), tmp_path / "student")
    plain = open_artifact(folder)
    sealed = seal_artifact(
        folder,
        name="named",
        kind="cross-encoder",
        recipe=plain.manifest.recipe,
        licence=Licence("MIT", "mind it"),
        lineage={"seed": 1},
    )
    rows = load_cross_encoder(sealed, "onnxruntime").composer(QUERY)(TEXTS + SHOP)
    calibrated = calibrate_artifact(sealed, [rows], "made up")
    stored = calibrated.manifest.quantisation
    assert (stored["method"], stored["data"], stored["rows"]) == ("static-int8", "made up", 50)
    assert replace(calibrated.manifest, quantisation=None) == sealed.manifest
    model = load_cross_encoder(open_artifact(folder), "onnxruntime-int8")
    assert re.fullmatch("onnxruntime-int8-[0-9a-f]{8}", model.numeric_path)
    assert "static int8 on ONNX Runtime, within" in model.path_reason


def test_a_bi_encoder_is_calibrated_too(tmp_path):
    """Texts in, vectors of unit length out."""
    artifact = open_artifact(make_bi_encoder(tmp_path / "bi"))
    fp32 = load_bi_encoder(artifact, "onnxruntime")
    int8 = load_bi_encoder(
        calibrate_artifact(artifact, [fp32.compose(TEXTS)], "made up"), "onnxruntime-int8"
    )
    with Engine(1) as engine:
        found, wanted = engine.encode(int8, TEXTS), engine.encode(fp32, TEXTS)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert (found * wanted).sum(axis=1).min() > 0.98


def test_no_rows_no_ranges():
    """There is nothing to measure on."""
    with pytest.raises(ArtifactError, match="at least one row"):
        measure_ranges(random_weights(SHAPE), SHAPE, None, [PackedTokens.pack([])], "nothing")


def test_a_folder_without_ranges_is_refused_with_the_mend(tmp_path):
    """The choice is not overruled in silence."""
    artifact = open_artifact(make_cross_encoder(tmp_path / "cross"))
    with pytest.raises(ArtifactError, match="no ranges of static-int8; measure them") as caught:
        load_cross_encoder(artifact, "onnxruntime-int8")
    assert str(artifact.folder) in str(caught.value)


FIRST = "encoder.layer.0.attention.self"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"method": "other"}, "holds no ranges"),
        ({"ranges": None}, "lacks encoder.layer.0"),
        ({"ranges": {FIRST: [-1, 1]}}, "lacks encoder.layer.0.attention.output.dense"),
        ({"more": {"strange": [-1, 1]}}, "names what the encoder lacks: strange"),
        ({"more": {FIRST: [2, 1]}}, "attention.self is \\[2, 1\\]"),
        ({"more": {FIRST: [float("nan"), 1]}}, "attention.self is \\[nan, 1\\]"),
        ({"more": {FIRST: [0, float("inf")]}}, "attention.self is \\[0, inf\\]"),
        ({"more": {FIRST: [1]}}, "must be the lowest and the highest value"),
        ({"more": {FIRST: "ab"}}, "must be the lowest and the highest value"),
    ],
)
def test_ranges_that_do_not_fit_are_refused_by_name(change, told):
    """What is stored was written for this encoder or is not used."""
    ranges = {name: [-1.0, 2.0] for name in input_names(SHAPE)} | change.pop("more", {})
    stored = {"method": "static-int8", "data": "x", "rows": 1, "ranges": ranges} | change
    with pytest.raises(ArtifactError, match=told):
        read_ranges(stored, SHAPE, "the folder")
