"""Rows of a Parquet file."""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq

from index_builder.rows import Reject, Row, Rows

_ROWS_AT_A_TIME = 512
# Without a buffer a whole column of a row group is read at once.
_BUFFER_BYTES = 1 << 18


def read_parquet(file: io.BufferedReader) -> Rows:
    """One row a row, numbered from 1; a cell that cannot be read makes its row a `Reject`.

    Memory holds some pages of each column. Raises `pyarrow.ArrowException`.
    """
    number = 0
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES) as parquet:
        for batch in parquet.iter_batches(batch_size=_ROWS_AT_A_TIME):
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for at in range(batch.num_rows):
                number += 1
                yield _row(number, columns, at, batch.nbytes // batch.num_rows)


def _row(number: int, columns: dict[str, Any], at: int, size_bytes: int) -> Row | Reject:
    values: dict[str, object] = {}
    for name, column in columns.items():
        try:
            values[name] = column[at].as_py()
        except UnicodeDecodeError:
            return Reject(number, None, f"{name}: not UTF-8", values)
        except (ValueError, OverflowError) as error:  # a date beyond what Python can hold
            return Reject(number, None, f"{name}: {error}", values)
    return Row(number, values, size_bytes)
