"""A shop's synonyms, in the form that Solr, Elasticsearch and OpenSearch share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rerank_core.errors import ConfigError

MOST_RULES = 10_000
"""They stand in the index's settings, which every node keeps in memory and the cluster publishes
whole. Elasticsearch has had the same bound for a set of its synonyms API."""

_SHOWN = 5
_COMMA = re.compile(r"(?<!\\),")
_ARROW = re.compile(r"(?<!\\)=>")


def read_synonyms(path: Path) -> tuple[str, ...]:
    """The rules of a file: one a line; empty lines and those that begin with ``#`` are none.

    Raises `ConfigError` naming the file, and the line of each fault.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8: {error}"
        raise ConfigError(f"synonyms {path}: {reason or error}") from error
    numbered = [
        (number, rule)
        for number, line in enumerate(lines, start=1)
        if (rule := line.strip()) and not rule.startswith("#")
    ]
    faults = [f"line {number}: {fault}" for number, rule in numbered if (fault := fault_of(rule))]
    if not numbered:
        faults.append("holds no rule")
    if len(numbered) > MOST_RULES:
        faults.append(f"has {len(numbered):,} rules, there may be {MOST_RULES:,}")
    if faults:
        raise ConfigError(f"synonyms {path}: {_listed(faults)}")
    return tuple(rule for _, rule in numbered)


def check_rules(rules: Sequence[str]) -> None:
    """Raises `ValueError` naming the place of each fault."""
    faults = [f"[{at}]: {fault}" for at, rule in enumerate(rules) if (fault := fault_of(rule))]
    if len(rules) > MOST_RULES:
        faults.append(f": {len(rules):,} rules, there may be {MOST_RULES:,}")
    if faults:
        raise ValueError(f"synonyms{_listed(faults)}")


def fault_of(rule: str) -> str:
    """What is wrong with ``a, b`` (each finds the other) or ``a, b => c`` (c instead); or empty."""
    return next(_faults(rule), "")


def _faults(rule: str) -> Iterator[str]:
    sides = [_COMMA.split(side) for side in _ARROW.split(rule)]
    shown = repr(rule if len(rule) <= 60 else f"{rule[:60]}...")
    if len(sides) > 2:
        yield f"{shown} has more than one =>; write a line for each"
    for terms in sides:
        for term in terms:
            # The tokenizer leaves nothing of it, and the cluster refuses the whole index.
            if not any(character.isalnum() for character in term):
                where = "an empty term" if not term.strip() else f"{term.strip()!r}"
                yield f"{shown} has {where}, which holds no letter or digit"
    if len(sides) == 1 and len(sides[0]) == 1:
        yield f"{shown} names one term; write what it means beside it, as in: sofa, couch"


def _listed(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return "; ".join(faults[:_SHOWN]) + more
