"""Asks a teacher for what the store lacks: priced first, in chunks, under a hard cap."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from distillation.labels.store import LabelStore, label_key
from distillation.progress import counted
from distillation.teachers.contract import Pair, Teacher, TeacherScores
from rerank_core.errors import ConfigError


@dataclass(frozen=True)
class Price:
    """What a dry run foretells."""

    pairs: int
    known: int
    seconds: float
    """For what is not known yet."""
    tried: int
    """Pairs that the dry run asked for; their answers are kept."""


def missing(store: LabelStore, teacher: Teacher, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs without an answer, each once, sorted by query so that prefix caches hit."""
    known = store.read()
    wanted = {label_key(teacher.identity, pair): pair for pair in pairs}
    left = [pair for key, pair in wanted.items() if key not in known]
    return sorted(left, key=lambda pair: (pair.query, pair.product))


def price(
    store: LabelStore, teacher: Teacher, pairs: Sequence[Pair], *, dry_run: int, chunk: int
) -> Price:
    """Labels `dry_run` pairs, keeps the answers, and tells what the rest will take."""
    left = missing(store, teacher, pairs)
    unique = len({label_key(teacher.identity, pair) for pair in pairs})
    sample = left[:dry_run]
    started = time.monotonic()
    for part in _chunks(sample, chunk):
        _ask(store, teacher, part)
    seconds = time.monotonic() - started
    rest = len(left) - len(sample)
    return Price(
        pairs=unique,
        known=unique - len(left),
        seconds=seconds / max(len(sample), 1) * rest,
        tried=len(sample),
    )


def label(
    store: LabelStore,
    teacher: Teacher,
    pairs: Sequence[Pair],
    *,
    chunk: int,
    cap: int,
    show: Console,
) -> int:
    """Fills the store, chunk by chunk; returns how many answers were asked for.

    Raises `ConfigError` before anything is asked where more than `cap` would be.
    """
    left = missing(store, teacher, pairs)
    if len(left) > cap:
        raise ConfigError(f"{len(left):,} pairs to label, the cap is {cap:,}; raise labels.cap")
    with counted(show, "labels", len(left)) as more:
        for part in _chunks(left, chunk):
            _ask(store, teacher, part)
            more(len(part))
    return len(left)


def _ask(store: LabelStore, teacher: Teacher, part: Sequence[Pair]) -> TeacherScores:
    """Keeps the answers, those before a failure, too. Raises `ScoringError` after it."""
    scores = teacher.score(part)
    store.append(teacher.identity, part[: len(scores.logits)], scores)
    return scores.whole()


def unreadable(found: Sequence[float]) -> int:
    """How many answers are NaN."""
    return int(np.isnan(np.asarray(found, np.float64)).sum())


def _chunks(pairs: Sequence[Pair], size: int) -> Iterator[Sequence[Pair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
