"""Rows of a Parquet file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from index_builder.rows import Reject, Row, Rows

_ROWS_AT_A_TIME = 512
# Without a buffer a whole column of a row group is read at once.
_BUFFER_BYTES = 1 << 18
# Broken UTF-8, and a date beyond what Python can hold.
_UNREADABLE = (ValueError, OverflowError)

Values: TypeAlias = dict[str, object]


def read_parquet(file: io.BufferedReader, columns: frozenset[str]) -> Rows:
    """One row a row, numbered from 1; a cell that cannot be read makes its row a `Reject`.

    Only `columns` are read: others, whatever is in them, are named in `Row.unread` alone. Memory
    holds some pages of each column. Raises `pyarrow.ArrowException`.
    """
    number = 0
    with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES) as parquet:
        names = parquet.schema_arrow.names
        wanted = [name for name in names if name in columns]
        unread = tuple(name for name in names if name not in columns)
        for batch in parquet.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=wanted):
            # A name with a dot may bring along what Parquet keeps inside another column.
            batch = batch.select(wanted)  # noqa: PLW2901
            size_bytes = batch.nbytes // batch.num_rows
            for values in _read_rows(batch):
                number += 1
                if isinstance(values, dict):
                    yield Row(number, values, size_bytes, unread)
                else:
                    yield Reject(number, None, *values)


def _read_rows(batch: pa.RecordBatch) -> Iterator[Values | tuple[str, Values]]:
    """A row's values, or why not and those before; cell by cell only where a cell is broken."""
    try:
        yield from batch.to_pylist()
    except _UNREADABLE:
        for at in range(batch.num_rows):
            yield _read_cells(batch, at)


def _read_cells(batch: pa.RecordBatch, at: int) -> Values | tuple[str, Values]:
    values: Values = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[at].as_py()
        except UnicodeDecodeError:
            return f"{name}: not UTF-8", values
        except _UNREADABLE as error:
            return f"{name}: {error}", values
    return values
