"""Which numeric path an encoder gets on this machine, and the proof that it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from rerank_core.artifact import EXPORTED_NAME, Artifact
from rerank_core.engine.native import NativePath, best_precision
from rerank_core.engine.native_library import Precision
from rerank_core.engine.path import NumericPath
from rerank_core.engine.plain import plain_outputs
from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import WEIGHTS_NAME, Weights, read_weights
from rerank_core.errors import ArtifactError, ConfigError, SetupError
from rerank_core.text import PackedTokens

PathChoice = Literal[
    "auto",
    "native",
    "native-int8",
    "native-int16",
    "native-bf16",
    "onnxruntime",
    "onnxruntime-int8",
    "cuda",
]
"""auto: the native kernel where it runs and passes its test, ONNX Runtime in fp32 otherwise.
native: the kernel in int16 where the machine has AVX2 alone, otherwise in int8, and no other path.
native-int8: the same scores on every machine. native-int16: nearer to fp32, slower on VNNI and AMX.
native-bf16: int8 with attention's products in bfloat16, on AMX alone.
Every word but auto is met or refused."""

CHOICE_VARIABLE = "RERANK_NUMERIC_PATH"

# Both precisions keep nDCG@10 of the shipped student: docs/results/native-int*.gate.json.
_DEFAULT: PathChoice = "auto"

# int8 is off fp32 by 2 to 6 % of the outputs' spread on real models; a kernel that knows nothing of
# its rows, and gives the mean for each, by all of it. int16 is off by less than a tenth of int8's;
# what has ranges of real texts, by half of the spread on the sample, whose tokens are drawn.
_TOLERATED_ERROR = 0.3
_TOLERATED_ERROR_INT16 = 0.05
_TOLERATED_ERROR_RANGES = 0.6
# Of the outputs' size: where they spread less than this, fp32's own last bits would count.
_LEAST_SPREAD = 1e-4
_SAMPLE_LENGTHS = (4, 9, 17, 26, 33, 40, 64, 100)


@dataclass(frozen=True)
class LoadedPath:
    """A path, and why it is this one."""

    path: NumericPath
    reason: str
    fallback: bool
    """Another path was wanted than what runs: worth a warning."""


@dataclass(frozen=True)
class EncoderSource:
    """What a path is built from."""

    read: Callable[[], Weights]
    """Reads the weights. They are let go with the choice: paths keep what they make of them."""
    shape: BertShape
    pooling: Pooling | None = None
    """None: a classifier. Otherwise vectors of unit length."""
    quantisation: Mapping[str, Any] | None = None
    """As the manifest has it."""
    name: str = "the model"
    """In messages, such as its folder."""
    most_tokens: int = max(_SAMPLE_LENGTHS)
    """Of a row that is served; one of that length is in the sample."""


def chosen_path() -> PathChoice:
    """The choice in the environment variable RERANK_NUMERIC_PATH, auto without one.

    Raises `ConfigError` for a word that is none.
    """
    return path_choice(os.environ.get(CHOICE_VARIABLE, _DEFAULT), CHOICE_VARIABLE)


def path_choice(word: str, where: str = "the numeric path") -> PathChoice:
    """The choice that a word stands for; `where` it stood. Raises `ConfigError`."""
    for known in get_args(PathChoice):
        if word == known:
            return known  # type: ignore[no-any-return]  # get_args forgets the literal
    raise ConfigError(f"{where} is {word!r}; it may be {', '.join(get_args(PathChoice))}")


def load_path(
    artifact: Artifact, shape: BertShape, pooling: Pooling | None, choice: PathChoice
) -> LoadedPath:
    """The path of a model folder.

    An exported `onnx/model.onnx` is used only where there are no weights. Raises `SetupError` for
    a folder that cannot be computed and for a choice that cannot be met.
    """
    weights = artifact.folder / WEIGHTS_NAME
    if weights.is_file():
        return select_path(
            EncoderSource(
                lambda: read_weights(weights, shape, classifier=pooling is None),
                shape,
                pooling,
                artifact.manifest.quantisation,
                str(artifact.folder),
                artifact.max_tokens,
            ),
            choice,
        )
    if choice not in ("auto", "onnxruntime"):
        raise ArtifactError(f"{weights}: missing; the path {choice} computes from weights")
    from rerank_core.engine.onnx_path import ExportedOnnxPath  # noqa: PLC0415  see `_build`

    path = ExportedOnnxPath(artifact.folder / EXPORTED_NAME, pooling)
    return LoadedPath(path, f"the folder has no {WEIGHTS_NAME}", fallback=choice == "auto")


def select_path(source: EncoderSource, choice: PathChoice) -> LoadedPath:
    """The path that `choice` gives, compared with plain fp32 on a built-in sample.

    Raises `SetupError` where the choice cannot be met: what it needs is missing, the model is
    refused, or the sample's outputs are wrong. Under ``auto`` ONNX Runtime takes over then.
    """
    weights, sample = source.read(), _sample(source.shape, source.most_tokens)
    wanted = plain_outputs(weights, source.shape, source.pooling, sample)
    if not np.isfinite(wanted).all():
        raise ArtifactError(
            f"{source.name}: outputs on the built-in sample are NaN or infinite in fp32, the "
            "weights are finite but too large; train or copy it anew"
        )

    def proven(word: PathChoice) -> tuple[NumericPath, str]:
        path, what = _build(source, weights, word)
        error = relative_error(_outputs(path, sample), wanted.astype(np.float64))
        if not error <= _tolerated(path):  # NaN must not pass
            raise SetupError(
                f"{what} is off fp32 by {error:.0%} of the outputs' spread on the built-in sample"
            )
        return path, f"{what}, within {error:.1%} of fp32 on the built-in sample"

    if choice == "onnxruntime":
        return LoadedPath(proven(choice)[0], "fp32 on ONNX Runtime was chosen", fallback=False)
    try:
        path, reason = proven(choice)
    except SetupError as problem:
        if choice != "auto":
            raise
        path, _ = proven("onnxruntime")
        return LoadedPath(path, f"ONNX Runtime in place of native: {problem}", fallback=True)
    return LoadedPath(path, reason, fallback=False)


def _build(source: EncoderSource, weights: Weights, choice: PathChoice) -> tuple[NumericPath, str]:
    """The path of a choice, and what it is called in a sentence.

    ONNX Runtime is imported where it computes: that is half a second of a start without it.
    """
    shape, pooling = source.shape, source.pooling
    if choice == "cuda":
        from rerank_core.engine.cuda_path import CudaPath  # noqa: PLC0415  as said

        return CudaPath(weights, shape, pooling), "fp16 on CUDA"
    if choice == "onnxruntime":
        from rerank_core.engine.graph import encoder_graph  # noqa: PLC0415  as said
        from rerank_core.engine.onnx_path import OnnxPath  # noqa: PLC0415  as said

        return OnnxPath(encoder_graph(weights, shape, pooling)), "fp32 on ONNX Runtime"
    if choice == "onnxruntime-int8":
        from rerank_core.engine.static_calibration import read_ranges  # noqa: PLC0415  as said
        from rerank_core.engine.static_path import static_int8_path  # noqa: PLC0415  as said

        ranges = read_ranges(source.quantisation, shape, source.name)
        return static_int8_path(weights, shape, pooling, ranges), "static int8 on ONNX Runtime"
    native = NativePath(weights, shape, pooling, precision=_precision(choice))
    return native, f"native kernel on {native.instruction_set}"


def _tolerated(path: NumericPath) -> float:
    if path.name.startswith("onnxruntime-int8"):
        return _TOLERATED_ERROR_RANGES
    return _TOLERATED_ERROR_INT16 if path.name == "native-int16" else _TOLERATED_ERROR


def _precision(choice: PathChoice) -> Precision:
    if choice == "native-bf16":
        return "int8-bf16"
    if choice == "native-int8":
        return "int8"
    return "int16" if choice == "native-int16" else best_precision()


def relative_error(found: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> float:
    """Root mean square difference, relative to how what is wanted spreads from row to row.

    What all rows share ranks nothing: relative to the outputs' size an error could hide in it.
    """
    spread = _root_mean_square(wanted - wanted.mean(axis=0))
    least = max(_LEAST_SPREAD * _root_mean_square(wanted), 1e-30)
    return _root_mean_square(found - wanted) / max(spread, least)


def _root_mean_square(x: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt((x**2).mean()))


def _outputs(path: NumericPath, tokens: PackedTokens) -> npt.NDArray[np.float64]:
    """In the path's own units, shape ``(rows, columns)``."""
    outputs = np.empty((len(tokens), path.columns))
    for rows in path.plan(tokens):
        outputs[rows] = path.forward(tokens.rows(rows))
    return outputs


def _sample(shape: BertShape, most_tokens: int) -> PackedTokens:
    """Rows of fixed ids over the whole vocabulary, the longest of so many."""
    random = np.random.default_rng(20)
    lengths = [min(length, shape.positions) for length in (*_SAMPLE_LENGTHS, most_tokens)]
    rows = [random.integers(0, shape.vocabulary, length).tolist() for length in lengths]
    return PackedTokens.pack(rows, None if shape.token_types < 2 else 3)
