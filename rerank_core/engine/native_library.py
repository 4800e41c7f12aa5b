"""The compiled kernel library: where it is, and its functions with their types."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import Literal

import rerank_core.engine
from rerank_core.errors import ArtifactError, ToolMissingError

_NAME = "librerank_native.so"
# With the sizes of the structures below, what `rerank_interface` in native/c_interface.h tells.
_INTERFACE = 2
_MESSAGE_BYTES = 512

Precision = Literal["int8", "int8-bf16", "int16"]
"""What products are computed in; int8-bf16 computes attention's in bfloat16. Each has scores of its
own, the same on every instruction set that has it."""


class Shape(Structure):
    """`RerankShape` in native/c_interface.h; so are the others here."""

    _fields_ = (
        *((name, c_int32) for name in ("layers", "width", "heads", "head_width", "ffn_width")),
        *((name, c_int32) for name in ("vocabulary", "positions", "token_types")),
        ("epsilon", c_float),
    )


class Dense(Structure):
    """int8 or int16 weights with a scale and a bias an output."""

    _fields_ = (
        ("weights", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("outputs", c_int32),
        ("inputs", c_int32),
    )


class Norm(Structure):
    """A layer normalisation."""

    _fields_ = (("scale", c_void_p), ("shift", c_void_p))


class Layer(Structure):
    """One layer of the encoder."""

    _fields_ = (
        ("query", Dense),
        ("key_value", Dense),
        ("attention_output", Dense),
        ("ffn_in", Dense),
        ("ffn_out", Dense),
        ("attention_norm", Norm),
        ("output_norm", Norm),
    )


class Weights(Structure):
    """The encoder without its head."""

    _fields_ = (
        ("words", c_void_p),
        ("positions", c_void_p),
        ("token_types", c_void_p),
        ("norm", Norm),
        ("layers", POINTER(Layer)),
    )


class Head(Structure):
    """A classifier, or the way to a vector."""

    _fields_ = (
        ("kind", c_int32),
        ("outputs", c_int32),
        ("pooler", c_void_p),
        ("pooler_bias", c_void_p),
        ("classifier", c_void_p),
        ("classifier_bias", c_void_p),
    )


CLASSIFIER, MEAN_VECTOR, FIRST_VECTOR = range(3)


class Message:
    """Room for the library's reason when it refuses."""

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(_MESSAGE_BYTES)
        self.size = _MESSAGE_BYTES

    def __str__(self) -> str:
        return self.buffer.value.decode("utf-8", "replace")


@cache
def load_library(path: Path | None = None) -> ctypes.CDLL:
    """The library beside this package, or at `path`.

    Raises `ToolMissingError` where the package was built without it, or with other sources.
    """
    found = path or _find()
    try:
        library = ctypes.CDLL(str(found))
    except OSError as error:
        raise ToolMissingError(f"{found}: cannot be loaded: {error}") from error
    _check_interface(library, found)
    reason = (c_void_p, c_size_t)
    library.rerank_instruction_sets.argtypes = ()
    library.rerank_instruction_sets.restype = c_char_p
    library.rerank_encoder_new.argtypes = (
        *(POINTER(kind) for kind in (Shape, Weights, Head)),
        c_char_p,
        *reason,
    )
    library.rerank_encoder_new.restype = c_void_p
    library.rerank_encoder_delete.argtypes = (c_void_p,)
    library.rerank_encoder_delete.restype = None
    library.rerank_encoder_outputs.argtypes = (c_void_p,)
    library.rerank_encoder_outputs.restype = c_int32
    ids_types_offsets = (c_void_p, c_void_p, c_void_p)
    rows_outputs = (c_int32, c_void_p)
    library.rerank_encoder_forward.argtypes = (
        c_void_p,
        *ids_types_offsets,
        *rows_outputs,
        *reason,
    )
    library.rerank_encoder_forward.restype = c_int32
    return library


def _check_interface(library: ctypes.CDLL, path: Path) -> None:
    """Structures of another layout would be read as garbage. Raises `ToolMissingError`."""
    sizes = [ctypes.sizeof(kind) for kind in (Shape, Dense, Norm, Layer, Weights, Head)]
    wanted = ",".join(map(str, (_INTERFACE, *sizes)))
    try:
        tell = library.rerank_interface
    except AttributeError:
        told = "none"
    else:
        tell.argtypes, tell.restype = (), c_char_p
        told = tell().decode("ascii", "replace")
    if told != wanted:
        raise ToolMissingError(
            f"{path}: was built from other sources than this package's: its interface is {told}, "
            f"{wanted} is needed; rebuild it (pip install rerank-sidecar again, or -e .)"
        )


def profiler(library: ctypes.CDLL) -> tuple[list[str], Callable[..., int]]:
    """Names of the stages of a forward pass, and the function that times them."""
    library.rerank_stages.argtypes = ()
    library.rerank_stages.restype = c_char_p
    profile: Callable[..., int] = library.rerank_encoder_profile
    forward = library.rerank_encoder_forward
    # As a forward pass, with the seconds behind its outputs.
    library.rerank_encoder_profile.argtypes = (
        *forward.argtypes[:-2],
        c_void_p,
        *forward.argtypes[-2:],
    )
    return library.rerank_stages().decode("ascii").split(","), profile


def peak_operations(library: ctypes.CDLL, instruction_set: str, steps: int) -> float:
    """Computes a set's products in registers alone; the multiplications and additions done."""
    operations = ctypes.c_double()
    piece = library.rerank_piece_peak
    if piece(instruction_set.encode("ascii"), ctypes.c_int64(steps), ctypes.byref(operations)):
        raise ArtifactError(f"{instruction_set} is not to be had on this machine")
    return operations.value


def instruction_sets(library: ctypes.CDLL, precision: Precision = "int8") -> list[str]:
    """Names of what this machine can run in a precision, best first; maybe none."""
    names = library.rerank_instruction_sets().decode("ascii").split(",")
    return [name for name in names if name and precision_of(name) == precision]


def precision_of(instruction_set: str) -> Precision:
    """What a set of that name computes in."""
    if instruction_set.endswith("-bf16"):
        return "int8-bf16"
    return "int16" if instruction_set.endswith("-int16") else "int8"


def _find() -> Path:
    # An installed package is one folder; an editable one is two, the source and the build's.
    for folder in rerank_core.engine.__path__:
        path = Path(folder) / _NAME
        if path.exists():
            return path
    raise ToolMissingError(
        "the native kernel was not built with this package; install g++ 11 or newer on x86-64 "
        "and install rerank-sidecar again"
    )
