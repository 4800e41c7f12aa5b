"""Labels that were made elsewhere, as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from distillation.pool.shutting import normalised
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_file, hash_json
from rerank_core.text import ProductTextRecipe, clean

_READERS = {".parquet": pq.read_table, ".csv": pa_csv.read_csv, ".jsonl": pa_json.read_json}
_COLUMNS = ("query", "product", "logit")


class FileTeacher:
    """Looks up query and product text in a file with the columns query, product and logit."""

    def __init__(self, path: Path, text: ProductTextRecipe) -> None:
        """Raises `ConfigError` for a file that cannot be read or lacks a column."""
        if path.suffix not in _READERS:
            raise ConfigError(f"{path}: give .parquet, .csv or .jsonl")
        try:
            table = _READERS[path.suffix](str(path))
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        missing = [name for name in _COLUMNS if name not in table.column_names]
        if missing:
            raise ConfigError(f"{path}: lacks the columns {missing}")
        columns = (table[name].to_pylist() for name in _COLUMNS)
        self._logits = {
            (normalised(str(query)), clean(str(product))): logit
            for query, product, logit in zip(*columns, strict=True)
        }
        self.text = text
        self.identity = TeacherIdentity(
            f"file {path.name}", hash_file(path), hash_json(["file", text.hash])
        )

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """NaN for a pair that the file lacks."""
        found = [self._logits.get((normalised(pair.query), clean(pair.product))) for pair in pairs]
        return TeacherScores(np.array([np.nan if v is None else v for v in found], np.float32))
