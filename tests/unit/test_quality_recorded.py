"""`docs/quality.md` says what the recorded runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.analyzers.result import AnalyzersResult
from benchmarks.quality.result import QualityResult
from rerank_core.errors import ConfigError
from rerank_core.measures import Interval
from rerank_core.records import read_json

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
TEXT = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
AIMS = TEXT.partition("**The aims**")[2].partition("\n\nHeld out")[0]
SETS = [name.strip() for name in AIMS.split("\n\n")[1].splitlines()[0].strip("| ").split("|")[1:]]


def told(value: Interval, sign: str = "") -> str:
    def number(figure: float) -> str:
        return f"{figure:{sign}.3f}".replace("0.", ".", 1)

    return f"{number(value.mean)} [{number(value.low)}, {number(value.high)}]"


def rows(column: int) -> list[str]:
    table = [line for line in AIMS.splitlines() if line.startswith("|")]
    return [line.strip("|").split("|")[column].strip() for line in table[2:]]


@pytest.mark.parametrize("name", SETS)
def test_the_aims_are_told_as_they_were_measured(name: str) -> None:
    """Each with its interval, and all three."""
    result = read_json(QualityResult, RESULTS / f"quality-{name}.json", name, ConfigError)
    compared = {
        (one.ours, one.theirs): one for one in result.comparisons if one.measure == "nDCG@10"
    }
    legs = {leg: result.system(leg).means["nDCG@10"].mean for leg in ("lexical", "vector")}
    better = max(legs, key=lambda leg: legs[leg])
    over_leg, over_hybrid, recall = rows(1 + SETS.index(name))

    assert better == "lexical"
    assert over_leg == told(compared["hybrid", better].difference, "+")
    assert over_hybrid == told(compared["hybrid, reranked", "hybrid"].difference, "+")
    at = {one.depth: told(one.recall) for one in result.sweep if one.leg == "hybrid"}
    assert recall == f"{at[100]}; {at[200]} at 200"
    assert (result.about.weights, result.about.depth) == ({"lexical": 0.5, "vector": 0.5}, 100)


def test_the_analyzers_are_told_as_they_were_measured() -> None:
    """Every row of the table, and the held-out gain above it."""
    result = read_json(AnalyzersResult, RESULTS / "analyzers.json", "analyzers", ConfigError)
    names = {
        "shipped": "shipped",
        "no stemmer": "analyzer unstemmed",
        "word parts": "analyzer parts",
        "units and dimensions": "analyzer units",
        "trigrams of the title, .3": "trigrams 0.3",
        "tie_breaker .3": "tie_breaker 0.3",
        "equal boosts": "equal boosts",
    }
    table = TEXT.partition("| change (")[2].partition("\n\n")[0].splitlines()[2:]
    shown = {cells[0]: cells[1:] for line in table if (cells := _cells(line))}

    for row, name in names.items():
        found = [next(c for c in one.candidates if c.name == name) for one in result.sets]
        values = [told(c.ndcg) if name == "shipped" else told(c.difference, "+") for c in found]
        assert shown.pop(row) == values
    assert shown == {"chosen without the query": [told(one.gain, "+") for one in result.sets]}
    held_out = f"| {told(result.gain, '+')} | what is shipped |".replace("+.000 [", ".000 [", 1)
    assert held_out in TEXT
    assert f"any of {len(result.sets[0].candidates)}," in TEXT


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]
