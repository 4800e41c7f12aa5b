"""Stage 1: which queries teach, choose, report, and which stay unlabelled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distillation.lists import check_judged, in_first_half
from distillation.pipeline.recipe import Source, Split
from distillation.pipeline.stage import Finished, write_json
from distillation.pool.shutting import shut_out
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_file
from rerank_core.measures import BeirFolder, Judgments, mixed
from rerank_core.text import clean

UNLABELLED = "unlabelled"
_ROLES = ("human", "select", "report")


@dataclass(frozen=True)
class Material:
    """What a finished split lets the later stages see; ids are ``set/id``, grades are shares.

    The judgments of hidden train queries are in none of its files.
    """

    stage: Finished
    data: Path

    @cached_property
    def queries(self) -> dict[str, str]:
        """Id to text of every query that plays a part, unlabelled ones included."""
        return {row["_id"]: row["text"] for row in _rows(self.stage.folder / "queries.jsonl")}

    @cached_property
    def unlabelled(self) -> dict[str, list[str]]:
        """Set to ids of queries without judgments that may be seen."""
        found: dict[str, list[str]] = json.loads(_read(self.stage.folder / "unlabelled.json"))
        return found

    @cached_property
    def shut_out(self) -> list[str]:
        """Texts of every query that is judged in a split other than train."""
        found: list[str] = json.loads(_read(self.stage.folder / "shut-out.json"))
        return found

    def judgments(self, role: str) -> dict[str, dict[str, float]]:
        """Query to product to share of the scale, for ``human``, ``select`` or ``report``."""
        found: dict[str, dict[str, float]] = {}
        for row in _rows(self.stage.folder / f"{role}.jsonl"):
            found[row["query"]] = row["grades"]
        return found

    def of_set(self, role: str, name: str) -> dict[str, dict[str, float]]:
        """The judgments of one set."""
        return {q: rows for q, rows in self.judgments(role).items() if q.startswith(f"{name}/")}

    @cached_property
    def products(self) -> dict[str, dict[str, Any]]:
        """Every product of every set, by ``set/id``."""
        found: dict[str, dict[str, Any]] = {}
        for name in self.sets:
            for product, row in BeirFolder(self.data / name).products().items():
                found[f"{name}/{product}"] = row
        return found

    @property
    def sets(self) -> list[str]:
        """Names of the sets."""
        return [one["folder"] for one in self.stage.manifest["settings"]["split"]["sources"]]


def fingerprint(split: Split, data: Path) -> dict[str, str]:
    """sha256 of every file that a split reads, by its path under `data`."""
    found: dict[str, str] = {}
    for source in split.sources:
        folder = data / source.folder
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; give the data root with --data")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found[path.relative_to(data).as_posix()] = hash_file(path)
    if split.unlabelled:
        path = data / split.unlabelled
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; unlabelled queries, one a line")
        found[split.unlabelled] = hash_file(path)
    return found


def do_split(split: Split, data: Path, folder: Path) -> dict[str, Any]:
    """Writes roles, queries and hidden ids; returns how many there are of each."""
    roles: dict[str, dict[str, dict[str, float]]] = {role: {} for role in _ROLES}
    queries: dict[str, str] = {}
    unlabelled: dict[str, list[str]] = {}
    shut: set[str] = set()
    for source in split.sources:
        beir = BeirFolder(data / source.folder)
        texts, products = beir.queries(), beir.products()
        train = beir.judgments(source.train) if source.train else {}
        dev = beir.judgments(source.dev) if source.dev else {}
        for judged in (train, dev):
            if judged:
                check_judged(texts, products, judged)
        held = {q for q in train if _share_of(texts[q]) < source.held_out}
        dev |= {q: train.pop(q) for q in sorted(held)}
        shut |= {texts[q] for q in dev}
        shut |= {texts[q] for q in _judged_elsewhere(data / source.folder, source) if q in texts}
        order = sorted(train, key=lambda q, texts=texts: _digest(texts[q]))  # type: ignore[misc]
        seen = set(order[: split.human_queries])
        _put(roles["human"], source, {q: train[q] for q in order if q in seen})
        if train:
            unlabelled[source.folder] = [f"{source.folder}/{q}" for q in order if q not in seen]
        queries |= {f"{source.folder}/{q}": texts[q] for q in order}
        for query, rows in mixed(dev).items():
            role = "select" if in_first_half(texts[query]) else "report"
            _put(roles[role], source, {query: rows})
            queries[f"{source.folder}/{query}"] = texts[query]
    counts: dict[str, Any] = _bar(split, roles["human"], queries, shut)
    if split.unlabelled:
        lines = (data / split.unlabelled).read_text(encoding="utf-8").splitlines()
        free = sorted({clean(line) for line in lines} - {""}, key=_digest)
        unlabelled[UNLABELLED] = [f"{UNLABELLED}/{number}" for number in range(len(free))]
        queries |= dict(zip(unlabelled[UNLABELLED], free, strict=True))
    if not roles["select"]:
        raise ConfigError("no dev query has different grades; a choice needs some")
    for role, found in roles.items():
        records = (json.dumps({"query": q, "grades": rows}) for q, rows in found.items())
        (folder / f"{role}.jsonl").write_text("".join(f"{line}\n" for line in records))
    _write_rows(folder / "queries.jsonl", ({"_id": q, "text": t} for q, t in queries.items()))
    write_json(folder / "unlabelled.json", unlabelled)
    write_json(folder / "shut-out.json", sorted(shut))
    counts |= {
        role: {"queries": len(found), "pairs": sum(map(len, found.values()))}
        for role, found in roles.items()
    }
    counts["unlabelled"] = {name: len(ids) for name, ids in unlabelled.items()}
    counts["shut_out"] = len(shut)
    return counts


def _bar(
    split: Split, human: dict[str, dict[str, float]], queries: Mapping[str, str], shut: set[str]
) -> dict[str, int]:
    """Takes away what is like a dev query, unless the split keeps it; how many those were."""
    if split.keep_near_duplicates:
        return {}
    names = list(human)
    barred = shut_out([queries[name] for name in names], sorted(shut))
    for place in barred:
        del human[names[place]]
    return {"human_shut_out": len(barred)}


def _judged_elsewhere(folder: Path, source: Source) -> set[str]:
    """Ids judged in any split of the folder but train."""
    found: set[str] = set()
    for path in (folder / "qrels").iterdir():
        split = path.name.split(".")[0]
        if split != source.train:
            found |= BeirFolder(folder).judgments(split).keys()
    return found


def _put(found: dict[str, dict[str, float]], source: Source, judged: Judgments) -> None:
    for query, rows in judged.items():
        found[f"{source.folder}/{query}"] = {
            f"{source.folder}/{product}": source.scale.share(score, f"query {query}")
            for product, score in rows.items()
        }


def _share_of(text: str) -> float:
    """A number in 0..1 by hash; apart from the one that halves dev."""
    return int(hashlib.sha256(f"held out\0{text}".encode()).hexdigest()[:8], 16) / 2**32


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
