"""Titles for an index: the bi-encoder's vectors, beside sentence-transformers in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.engine.bench import Bench, Entry, hold_trial
from benchmarks.engine.parity import ParityError, require_parity
from benchmarks.engine.scoring import REFERENCE, load_paths
from benchmarks.engine.workload import Workload
from benchmarks.results import Absent, Trial
from benchmarks.rounds import timed
from rerank_core.artifact import open_named
from rerank_core.engine import BiEncoder, Engine, Priority, Vectors, load_bi_encoder
from rerank_core.errors import SetupError

_ENCODER = "minilm"
_YARDSTICK = "sentence-transformers"


def title_trials(bench: Bench) -> Iterator[Trial]:
    """Vectors of the titles of W1, tokenising included, all that a round's request holds."""
    workload = bench.workloads[0]
    try:
        artifact = open_named(_ENCODER)
        models, absent = load_paths(artifact, load_bi_encoder)
    except SetupError as error:
        bench.absent.append(Absent(f"{_ENCODER} for the index", str(error)))
        return
    bench.absent += [Absent(f"{one.name}, {_ENCODER}", one.reason) for one in absent]
    engine = bench.engine(bench.cores)
    wanted = _encode(engine, models[REFERENCE], workload, 0)
    entries = []
    try:
        theirs = _sentence_transformer(str(artifact.folder), bench.cores)
        vectors = _their_vectors(theirs, workload, 0)
        difference = require_parity([vectors], [wanted], "fp32")
        work = timed(lambda number: _their_vectors(theirs, workload, number))
        detail = "SentenceTransformer.encode, fp32, its own sorting, batches of 32"
        entries.append(Entry(_YARDSTICK, detail, work, _YARDSTICK, difference=difference))
    except (ImportError, ParityError) as error:
        bench.absent.append(Absent(f"{_YARDSTICK}, titles", str(error)))
    for choice, model in models.items():
        found = _encode(engine, model, workload, 0)
        difference = float(np.abs(found - wanted).max())
        work = timed(lambda number, model=model: _encode(engine, model, workload, number))  # type: ignore[misc]
        yardstick = _YARDSTICK if entries and entries[0].name == _YARDSTICK else ""
        entries.append(Entry(choice, model.numeric_path, work, yardstick, difference=difference))
    yield hold_trial(bench, "titles for the index", workload, entries)


def _encode(engine: Engine, model: BiEncoder, workload: Workload, number: int) -> Vectors:
    return engine.encode(model, workload.at(number).texts, priority=Priority.BATCH)


def _sentence_transformer(folder: str, threads: int) -> Any:
    import torch  # noqa: PLC0415  heavy, and wanted for this alone
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    return model.float()


def _their_vectors(model: Any, workload: Workload, number: int) -> Vectors:
    texts = list(workload.at(number).texts)
    return np.asarray(
        model.encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float32
    )
