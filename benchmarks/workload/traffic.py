"""A workload and its file: gzipped JSON lines, the same bytes for the same workload.

First a header, then ``{"text": ...}`` a product text, ``{"query": ..., "texts": [0, 4, ...]}`` a
question, and ``{"at": 1.25, "question": 3, "batch": false}`` a turn.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.plan import Surface
from benchmarks.load.surfaces import body
from rerank_core.compressed import open_bytes
from rerank_core.errors import ConfigError
from rerank_core.records import read_value

FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What a workload says of itself."""

    format: int
    name: str
    about: str
    characters_a_text: float
    """Mean over the candidates of its turns, true lengths."""
    candidates_a_turn: float
    repeated: float
    """Share of turns whose question came before."""


@dataclass(frozen=True)
class Question:
    """A query and its candidates, best first, as numbers of texts."""

    query: str
    texts: tuple[int, ...]


@dataclass(frozen=True)
class Turn:
    """A question asked at a time."""

    at: float
    """In mean gaps between requests, so that a rate makes seconds of it."""
    question: int
    batch: bool = False
    """Of the lower priority."""


@dataclass(frozen=True)
class Traffic:
    """Who asks what and when. The same file is the same requests at the same relative times."""

    header: Header
    texts: tuple[str, ...]
    questions: tuple[Question, ...]
    turns: tuple[Turn, ...]

    @property
    def name(self) -> str:
        """What it is called in results."""
        return self.header.name

    def bodies(self, surface: Surface) -> tuple[list[bytes], list[int]]:
        """Distinct requests as bytes, and which of them comes when."""
        kinds = sorted({(turn.question, turn.batch) for turn in self.turns})
        numbers = {kind: number for number, kind in enumerate(kinds)}
        bodies = []
        for question, batch in kinds:
            asked = self.questions[question]
            texts = [self.texts[number] for number in asked.texts]
            bodies.append(body(surface, asked.query, texts, batch=batch))
        return bodies, [numbers[turn.question, turn.batch] for turn in self.turns]

    def arrivals_s(self, rate_qps: float, duration_s: float) -> list[float]:
        """Seconds of the turns at a mean rate; from its beginning again where it is too short."""
        length = max(self.turns[-1].at, float(len(self.turns)))
        times = []
        for begin in range(int(duration_s * rate_qps / length) + 1):
            times += [(begin * length + turn.at) / rate_qps for turn in self.turns]
        return [at for at in times if at < duration_s]


def write_traffic(traffic: Traffic, path: Path) -> None:
    """Equal workloads make equal bytes. Raises `ConfigError`."""
    lines: Iterator[Any] = (
        asdict(traffic.header),
        *({"text": text} for text in traffic.texts),
        *(asdict(one) for one in traffic.questions),
        *(asdict(one) for one in traffic.turns),
    ).__iter__()
    try:
        with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written") from error


def read_traffic(path: Path) -> Traffic:
    """What `write_traffic` wrote. Raises `ConfigError` with the line that is at fault."""
    header: Header | None = None
    texts: list[str] = []
    questions: list[Question] = []
    turns: list[Turn] = []
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; python -m benchmarks workload {path} writes one")
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            found = _object(line, where)
            if header is None:
                header = read_value(Header, found, where, ConfigError)
                if header.format != FORMAT:
                    raise ConfigError(f"{where}: format {header.format}, this reads {FORMAT}")
            elif "text" in found:
                texts.append(str(found["text"]))
            elif "query" in found:
                questions.append(read_value(Question, found, where, ConfigError))
                _check(questions[-1].texts, len(texts), where)
            else:
                turns.append(read_value(Turn, found, where, ConfigError))
                _check((turns[-1].question,), len(questions), where)
    if header is None or not turns:
        raise ConfigError(f"{path}: holds no turns; is it a workload?")
    return Traffic(header, tuple(texts), tuple(questions), tuple(turns))


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: not an object")
    return found


def _check(numbers: tuple[int, ...], count: int, where: str) -> None:
    for number in numbers:
        if not 0 <= number < count:
            raise ConfigError(f"{where}: names number {number} of {count}")
