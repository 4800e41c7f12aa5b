"""Random calls of every function of the kernel's C interface, for sanitizers to watch.

``python -m tests.native_fuzz LIBRARY SEED ROUNDS``
"""

from __future__ import annotations

import ctypes
import sys
import threading
from ctypes import byref, c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from rerank_core.engine import native_library as native
from rerank_core.engine.native import NativePath
from rerank_core.engine.native_library import Precision
from rerank_core.engine.native_weights import int16_limit
from rerank_core.engine.shape import BertShape
from rerank_core.errors import ArtifactError, ScoringError
from rerank_core.text import PackedTokens
from tests.native_reference import random_weights, runnable_sets

STORE, ADD, GELU_ROTATED = range(3)
POOLINGS = (None, None, "mean", "cls")

# On both sides of a vector of 16, a tile of 64 and what is rotated together.
HEAD_WIDTHS = (1, 3, 15, 16, 17, 31, 32, 33, 49, 64, 65)
FFN_WIDTHS = (1, 15, 16, 17, 63, 64, 65, 127, 129, 200, 257)
POSITIONS = (1, 2, 31, 33, 96)
OUTPUTS = (1, 2, 15, 16, 17, 40)


class Fuzz:
    """What is drawn, and the library that is called with it."""

    def __init__(self, library: Path, seed: int) -> None:
        self.path = library
        self.library = native.load_library(library)
        self.by_precision = {
            precision: runnable_sets(precision, library) for precision in get_args(Precision)
        }
        self.sets = self.by_precision["int8"]
        self.random = np.random.default_rng(seed)

    def one(self, choices):
        """Any of them."""
        return choices[self.random.integers(len(choices))]

    def up_to(self, most: int) -> int:
        """1 to `most`."""
        return int(self.random.integers(1, most + 1))

    def floats(self, *size: int) -> np.ndarray:
        """Numbers of which a few are far out."""
        return self.random.standard_t(3, size).astype(np.float32)

    def shape(self) -> BertShape:
        """Any that the kernel takes; one layer or two, since a third is like the second."""
        head_width = int(self.one(HEAD_WIDTHS))
        heads = self.up_to(max(1, 200 // head_width) if head_width > 3 else 12)
        return BertShape(
            layers=self.up_to(2),
            width=heads * head_width,
            heads=heads,
            ffn_width=int(self.one(FFN_WIDTHS)),
            vocabulary=int(self.one((1, 30))),
            positions=int(self.one(POSITIONS)),
            token_types=int(self.one((1, 2))),
            epsilon=1e-12,
            pooler=bool(self.one((True, False))),
        )

    def rows(self, shape: BertShape) -> PackedTokens:
        """Up to eight, maybe none; the shortest and the longest possible among them."""
        lengths = [
            int(self.one((1, shape.positions, self.up_to(shape.positions))))
            for _ in range(self.random.integers(9))
        ]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        count = int(offsets[-1])
        return PackedTokens(
            self.random.integers(0, shape.vocabulary, count).astype(np.int32),
            self.random.integers(0, shape.token_types, count).astype(np.int32),
            offsets,
        )

    def encoder(self) -> None:
        """Rows of one shape, again and again on each set: sets agree to the bit."""
        shape, pooling = self.shape(), self.one(POOLINGS)
        seed, outputs = int(self.random.integers(1000)), int(self.one(OUTPUTS))
        weights = random_weights(shape, seed, outputs=outputs)
        batches = [self.rows(shape) for _ in range(3)]
        for precision, sets in self.by_precision.items():
            found = set()
            for name in sets:
                path = NativePath(
                    weights,
                    shape,
                    pooling,
                    precision=precision,
                    instruction_set=name,
                    library=self.path,
                )
                found.add(b"".join(path.forward(rows).tobytes() for rows in batches))
                path.stages(batches[0])
                self.refusals(path, shape)
                together(path, batches)
            assert len(found) <= 1, "the sets give other bits"

    def refusals(self, path: NativePath, shape: BertShape) -> None:
        """Rows out of range are an error."""
        good = np.zeros(1, np.int32)
        past, types = np.int32([shape.vocabulary]), np.int32([shape.token_types])
        long = np.zeros(shape.positions + 1, np.int32)
        wrong = [
            PackedTokens(past, good, np.array([0, 1])),
            PackedTokens(-past, good, np.array([0, 1])),
            PackedTokens(good, types, np.array([0, 1])),
            PackedTokens(good, good, np.array([0, 0])),
            PackedTokens(good, good, np.array([0, 1, 0])),
            PackedTokens(good, good, np.array([0, -(2**62)])),
            PackedTokens(long, long, np.array([0, len(long)])),
            PackedTokens(good, good, np.array([1, 1])),
            PackedTokens(good, good, np.array([-1, 1])),
            PackedTokens(good, good, np.array([0, 1, -(2**63), 1])),
            PackedTokens(good, good, np.array([0, 2])),
            PackedTokens(good, good[:0], np.array([0, 1])),
        ]
        for tokens in wrong:
            try:
                path.forward(tokens)
            except ScoringError:
                continue
            raise AssertionError(f"{tokens} was computed")

    def models_that_are_refused(self) -> None:
        """Sizes and names that are none, with a message of any room."""
        fine = BertShape(1, 16, 1, 16, 3, 4, 2, 1e-12)
        weights = random_weights(fine)
        for shape, name in (
            (fine, "avx1024"),
            (replace(fine, positions=0), self.sets[0]),
            (replace(fine, vocabulary=-1), self.sets[0]),
            (replace(fine, positions=65_537), self.sets[0]),
        ):
            try:
                NativePath(weights, shape, instruction_set=name, library=self.path)
            except ArtifactError:
                continue
            raise AssertionError(f"{shape} was taken on {name}")
        for room in (0, 1, 5):
            message = ctypes.create_string_buffer(room)
            empty = native.Shape()
            refused = self.library.rerank_encoder_new(
                byref(empty),
                byref(native.Weights()),
                byref(native.Head()),
                self.sets[0].encode(),
                message,
                room,
            )
            assert not refused

    def pieces(self) -> None:
        """Each piece on arrays that end where they must be read to and no further."""
        for precision, name in (
            (precision, name) for precision, sets in self.by_precision.items() for name in sets
        ):
            self.pieces_of_rows(name, np.int16 if precision == "int16" else np.int8)
            self.piece_of_products(name, int16=precision == "int16")
            self.piece_of_attention(name)

    def piece_of_attention(self, name: str) -> None:
        """For one query and for all."""
        heads, columns, tokens = self.up_to(4), 16 * self.up_to(6), self.up_to(130)
        queries, wide = int(self.one((1, tokens))), heads * columns
        query, key_value = self.floats(queries, wide), self.floats(tokens, 2 * wide)
        out = np.full((queries, wide), np.nan, np.float32)
        self.call(name, "attention", query, queries, key_value, tokens, heads, columns, out)
        assert np.isfinite(out).all()

    def pieces_of_rows(self, name: str, kind: type) -> None:
        """What works on one row or one list of numbers."""
        columns = 64 * self.up_to(6)
        x, out = self.floats(columns), np.empty(columns, np.float32)
        self.call(name, "rotate", x, columns, out)
        values, scale, total = (
            np.empty(columns, kind),
            np.empty(1, np.float32),
            np.zeros(1, "i4"),
        )
        self.call(name, "quantise", out, columns, values, scale, total)
        assert total[0] == values.astype(int).sum()
        width = self.up_to(columns)
        norm = self.floats(2, columns)
        padded = np.where(np.arange(columns) < width, x, 0).astype(np.float32)
        self.call(name, "layer_norm", padded, width, columns, norm[0], norm[1], c_float(1e-12))
        numbers = self.floats(16 * self.up_to(5))
        self.call(name, "tanh", numbers, len(numbers))
        self.call(name, "gelu", numbers, len(numbers))
        rows, depth, wide = self.up_to(12), self.up_to(70), 16 * self.up_to(5)
        product = np.empty((rows, wide), np.float32)
        a, b = self.floats(rows, depth), self.floats(depth, wide)
        self.call(name, "multiply", a, rows, depth, b, wide, product)
        operations = c_double()
        self.call(name, "peak", c_int64(self.up_to(3)), byref(operations))

    def piece_of_products(self, name: str, *, int16: bool) -> None:
        """Integers times integers, at the extremes that sums must hold."""
        rows, outputs, inputs = self.up_to(70), 64 * self.up_to(5), 64 * self.up_to(5)
        limit, kind = (int16_limit(inputs), np.int16) if int16 else (127, np.int8)
        most = self.one((1, limit))
        values = np.zeros((-(-rows // 32) * 32, inputs), kind)
        values[:rows] = most * self.random.choice([-1, 1], (rows, inputs))
        weights = (limit * self.random.choice([-1, 1], (outputs, inputs))).astype(kind)
        scales, bias = np.ones(outputs, np.float32), self.floats(outputs)
        addresses = (array.ctypes.data for array in (weights, scales, bias))
        dense = native.Dense(*addresses, outputs, inputs)
        sums = values[:rows].sum(axis=1, dtype=np.int32)
        row_scales, out = np.ones(rows, np.float32), np.zeros((rows, outputs), np.float32)
        for epilogue in (STORE, ADD, GELU_ROTATED):
            given = (values, row_scales, sums, rows, byref(dense), epilogue, out)
            self.call(name, "dense", *given, c_int32(outputs))

    def call(self, instruction_set: str, name: str, *arguments: object) -> None:
        """A piece by its name, arrays by their address."""
        passed = [
            c_void_p(item.ctypes.data) if isinstance(item, np.ndarray) else item
            for item in arguments
        ]
        code = getattr(self.library, f"rerank_piece_{name}")(instruction_set.encode(), *passed)
        assert code == 0, f"{name} on {instruction_set}"


def together(path: NativePath, batches: list[PackedTokens]) -> None:
    """The same rows by three threads at once: workspaces are taken and given back."""
    alone = [path.forward(rows).tobytes() for rows in batches]
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend(path.forward(r).tobytes() for r in batches))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(alone * 3)


def main() -> None:
    """Each round is a shape and all pieces."""
    fuzz = Fuzz(Path(sys.argv[1]), int(sys.argv[2]))
    fuzz.models_that_are_refused()
    for _ in range(int(sys.argv[3])):
        fuzz.encoder()
        fuzz.pieces()
    print("done", fuzz.by_precision)  # noqa: T201  what the test reads


if __name__ == "__main__":
    main()
