"""Forward passes in integers on the native kernel: no padding, no batches, bit-equal scores."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from ctypes import byref
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rerank_core.engine import native_library as native
from rerank_core.engine.cores import usable_cores
from rerank_core.engine.native_library import Precision
from rerank_core.engine.native_weights import PackedModel
from rerank_core.engine.path import Rows
from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import Weights
from rerank_core.errors import ArtifactError, ScoringError
from rerank_core.text import PackedTokens

# Units are neighbours, so a part needs to be no more than what fills a few, the first one no more
# than what fills one.
_FIRST_ROWS, _PART_ROWS = 4, 32

# A unit goes through all layers while it is hot in cache. Fewer tokens read the weights more
# often, more leave the cores unevenly loaded at the end of a request. Between two units a tenth to
# a quarter of a millisecond goes by, which is much beside a unit of few layers; where cores are
# many, units should be, too.
_UNIT_TOKENS = 128
_FEW_LAYERS, _FEW_CORES = 3, 4


class NativePath:
    """An encoder in int8 or int16. A row's output is bit-equal alone, in any unit, order, thread.

    It is also bit-equal on every instruction set that has the precision, so they share a name.
    """

    deterministic = True
    first_rows, part_rows = _FIRST_ROWS, _PART_ROWS

    def __init__(
        self,
        weights: Weights,
        shape: BertShape,
        pooling: Pooling | None = None,
        *,
        precision: Precision = "int8",
        instruction_set: str | None = None,
        library: Path | None = None,
    ) -> None:
        """A classifier, or with `pooling` vectors of unit length; the best instruction set.

        Raises `ToolMissingError` without the library, `ArtifactError` where no instruction set of
        the precision is usable here or the shape is beyond the kernel.
        """
        self._library = native.load_library(library)
        self.name = f"native-{precision}"
        chosen = instruction_set or _best(self._library, precision)
        if native.precision_of(chosen) != precision:  # weights of another width would be misread
            raise ArtifactError(f"{chosen} does not compute in {precision}")
        self.instruction_set = chosen
        packed = PackedModel(weights, shape, int16=precision == "int16")
        message = native.Message()
        handle = self._library.rerank_encoder_new(
            byref(packed.c_shape()),
            byref(packed.c_weights()),
            byref(packed.c_head(pooling)),
            chosen.encode("ascii"),
            message.buffer,
            message.size,
        )
        if not handle:
            raise ArtifactError(f"the native kernel refuses the model: {message}")
        self._handle = ctypes.c_void_p(handle)
        self._tables = packed.tables
        self.columns = int(self._library.rerank_encoder_outputs(self._handle))
        delete = weakref.finalize(self, self._library.rerank_encoder_delete, self._handle)
        # At exit the system takes the memory; a thread that is left may still compute with it.
        delete.atexit = False
        self._unit_tokens = unit_tokens(shape.layers, usable_cores())

    def plan(self, tokens: PackedTokens) -> list[Rows]:
        """Units of neighbours of at most `unit_tokens`, or one row."""
        return neighbouring_units(tokens.lengths, self._unit_tokens)

    def forward(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """Outputs of any rows, shape ``(rows, columns)``. Raises `ScoringError`."""
        outputs = np.empty((len(tokens), self.columns), np.float32)
        self._call(self._library.rerank_encoder_forward, tokens, outputs)
        return outputs

    def stages(self, tokens: PackedTokens) -> dict[str, float]:
        """Processor seconds of a forward pass by its stages, to measure. Raises `ScoringError`."""
        names, profile = native.profiler(self._library)
        seconds = np.zeros(len(names))
        outputs = np.empty((len(tokens), self.columns), np.float32)
        self._call(profile, tokens, outputs, seconds)
        return dict(zip(names, seconds.tolist(), strict=True))

    def _call(
        self,
        function: Callable[..., int],
        tokens: PackedTokens,
        *written: npt.NDArray[np.floating],
    ) -> None:
        if tokens.offsets[-1] != len(tokens.ids) or len(tokens.ids) != len(tokens.type_ids):
            raise ScoringError(
                f"rows end at {tokens.offsets[-1]}, there are {len(tokens.ids)} ids and "
                f"{len(tokens.type_ids)} type ids; pack them anew"
            )
        message = native.Message()
        failed = function(
            self._handle,
            # Another dtype or a strided view would be read as garbage.
            _address(np.ascontiguousarray(tokens.ids, np.int32)),
            _address(np.ascontiguousarray(tokens.type_ids, np.int32)),
            _address(np.ascontiguousarray(tokens.offsets, np.int64)),
            len(tokens),
            *map(_address, written),
            message.buffer,
            message.size,
        )
        if failed:
            raise ScoringError(f"the native kernel refuses the rows: {message}")


def best_precision(library: Path | None = None) -> Precision:
    """int16 where the machine has AVX2 alone, otherwise int8.

    AVX2 multiplies int16 about as fast as int8, which takes it twice the instructions; VNNI and AMX
    do not. Raises `ToolMissingError` without the library.
    """
    return (
        "int16" if native.instruction_sets(native.load_library(library))[:1] == ["avx2"] else "int8"
    )


def _best(library: ctypes.CDLL, precision: Precision) -> str:
    usable = native.instruction_sets(library, precision)
    if usable:
        return usable[0]
    if precision == "int8-bf16":
        raise ArtifactError(
            "attention in bfloat16 needs AMX, which this machine lacks; choose native"
        )
    raise ArtifactError("the native kernel needs AVX2, which this machine lacks")


def unit_tokens(layers: int, cores: int) -> int:
    """Tokens of a unit: 128, of a network of few layers on few cores twice that."""
    return 2 * _UNIT_TOKENS if layers <= _FEW_LAYERS and cores <= _FEW_CORES else _UNIT_TOKENS


def neighbouring_units(
    lengths: npt.NDArray[np.int64], unit_tokens: int = _UNIT_TOKENS
) -> list[Rows]:
    """Splits rows in their order into units of at most `unit_tokens`, or one row."""
    units: list[Rows] = []
    begin = tokens = 0
    for row, length in enumerate(lengths.tolist()):
        if row > begin and tokens + length > unit_tokens:
            units.append(np.arange(begin, row))
            begin, tokens = row, 0
        tokens += length
    if begin < len(lengths):
        units.append(np.arange(begin, len(lengths)))
    return units


def _address(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)  # holds the array
