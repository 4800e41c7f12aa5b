"""Where the rows come from: files, standard input, or an index that is there."""

from __future__ import annotations

import glob
import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from opensearchpy import OpenSearch

from index_builder.catalogue import find_catalogue, read_catalogue
from index_builder.csv_rows import read_csv
from index_builder.jsonl_rows import read_jsonl
from index_builder.rows import Row, Rows
from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.compressed import COMPRESSIONS
from rerank_core.errors import ClusterUnavailable, ConfigError
from rerank_core.hashing import hash_file

STDIN = "-"
INDEX = "index:"
StdinFormat = Literal["jsonl", "csv"]

_PAGE = 1000
_PAGE_BYTES_FIELDS = 4096  # about what a product of an index takes; pages do not say
_KEEP_ALIVE = "10m"


class Input(Protocol):
    """Rows that can be read."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def again(self) -> bool:
        """Whether it can be read twice, and is the same then."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """Of all rows as `Row.size_bytes` counts them; None where nobody knows."""
        ...

    def rows(self, columns: frozenset[str]) -> Rows:
        """All of them, in an order that stays."""
        ...

    def hash(self) -> str:
        """Over all bytes; 64 hex digits."""
        ...


@dataclass(frozen=True)
class Files:
    """Catalogue files, read one after the other."""

    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The file, or the first and how many there are."""
        more = len(self.paths) - 1
        return f"{self.paths[0]} and {more} more" if more else str(self.paths[0])

    @property
    def again(self) -> bool:
        """A pipe gives its rows once."""
        return all(path.is_file() for path in self.paths)

    @property
    def size_bytes(self) -> int | None:
        """Known for plain text files."""
        if not self.again or any(path.suffix in (*COMPRESSIONS, ".parquet") for path in self.paths):
            return None
        return sum(path.stat().st_size for path in self.paths)

    def rows(self, columns: frozenset[str]) -> Rows:
        """Those of several files know which one they are from."""
        for path in self.paths:
            with closing(read_catalogue(path, columns)) as rows:
                if len(self.paths) == 1:
                    yield from rows
                else:
                    for row in rows:
                        yield replace(row, file=str(path))

    def hash(self) -> str:
        """Over names and bytes, in order."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(f"{path.name}:{hash_file(path)}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Stdin:
    """Standard input, once."""

    format: StdinFormat
    stream: IO[bytes] | None = None
    """None: the process's own."""
    name: str = "standard input"
    again: bool = False
    size_bytes: int | None = None

    def rows(self, columns: frozenset[str]) -> Rows:  # noqa: ARG002  a text format has them all
        """As they come."""
        file = cast(
            "io.BufferedReader", io.BufferedReader(_Raw(self.stream or sys.stdin.buffer), 1 << 18)
        )
        yield from (read_jsonl if self.format == "jsonl" else read_csv)(file)

    def hash(self) -> str:
        """There is none. Raises `ConfigError`."""
        raise ConfigError("standard input cannot be read again; give a file")


class _Raw(io.RawIOBase):
    """A stream that is not ours to close."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = getattr(self._stream, "read1", self._stream.read)
        data: bytes = read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@dataclass(frozen=True)
class ClusterIndex:
    """The products of an index, as they are at one moment."""

    client: OpenSearch
    dialect: Dialect
    index: str
    again: bool = False
    """It may have changed when it is read again."""
    size_bytes: int | None = None

    @property
    def name(self) -> str:
        """The index's."""
        return f"index {self.index}"

    def rows(self, columns: frozenset[str]) -> Rows:
        """One a document: its fields, and its key in ``_id``."""
        fields = sorted(columns - {"_id"})
        for number, hit in enumerate(
            scan(self.client, self.dialect, self.index, self.dialect.source(fields)), start=1
        ):
            values = {**hit["_source"], "_id": hit["_id"]}
            yield Row(number, values, _PAGE_BYTES_FIELDS)

    def hash(self) -> str:
        """There is none. Raises `ConfigError`."""
        raise ConfigError(f"index {self.index} may change; only files can be resumed")


def scan(client: OpenSearch, dialect: Dialect, index: str, source: Any) -> Iterator[dict[str, Any]]:
    """Every document of an index at one point in time. Raises `ClusterError`."""
    doing = f"reading {index}"
    with cluster_errors(doing):
        pit = dialect.open_pit(client, index, _KEEP_ALIVE)
    try:
        after: Sequence[Any] | None = None
        while True:
            body: dict[str, Any] = {
                "size": _PAGE,
                "query": {"match_all": {}},
                "pit": {"id": pit, "keep_alive": _KEEP_ALIVE},
                "sort": [{dialect.stable_order: "asc"}],
                "track_total_hits": False,
                "_source": source,
            }
            if after is not None:
                body["search_after"] = after
            with cluster_errors(doing):
                answer = client.search(body=body)
            if answer["_shards"]["failed"]:
                raise ClusterUnavailable(f"{doing}: {answer['_shards']['failed']} shards failed")
            hits = answer["hits"]["hits"]
            yield from hits
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]
            pit = answer.get("pit_id", pit)
    finally:
        with cluster_errors(doing):
            dialect.close_pit(client, pit)


def find_input(
    names: Sequence[str], client: OpenSearch, dialect: Dialect, stdin_format: StdinFormat
) -> Input:
    """What the command line names: files, folders and globs, ``-``, or ``index:NAME``.

    Raises `ConfigError`.
    """
    special = [name for name in names if name == STDIN or name.startswith(INDEX)]
    if special and len(names) > 1:
        raise ConfigError(f"{special[0]} is read alone; leave the others out")
    if special == [STDIN]:
        return Stdin(stdin_format)
    if special:
        return ClusterIndex(client, dialect, special[0].removeprefix(INDEX))
    paths: list[Path] = []
    for name in names:
        found = sorted(glob.glob(name)) if glob.has_magic(name) else [name]  # noqa: PTH207  any root
        if not found:
            raise ConfigError(f"{name}: no file has such a name")
        paths += [find_catalogue(Path(path)) for path in found]
    if not paths:
        raise ConfigError("no catalogue is named")
    return Files(tuple(dict.fromkeys(paths)))
