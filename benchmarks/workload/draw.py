"""Workloads drawn from a catalogue and real queries, with a fixed seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load.arrivals import check_shape
from benchmarks.workload.traffic import FORMAT, Header, Question, Traffic, Turn
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder
from rerank_core.text import ProductTextRecipe

KINDS: Mapping[str, tuple[str, ...]] = {
    "titles": ("title",),
    "attributes": ("title", "brand", "color", "category", "text"),
    "descriptions": ("title", "text"),
}
"""Fields of the product texts. Where attributes are a column of their own they are in the second,
as in icecat; descriptions are prose, such as crowdflower's, and only products that have one."""

_LEAST_DESCRIPTION = 400
# Whole: what a server cuts is its own affair, and part of what is measured.
_WHOLE_TOKENS = 10_000


@dataclass(frozen=True)
class Wish:
    """What a workload shall be like."""

    kind: str = "titles"
    turns: int = 1000
    questions: int = 200
    """Distinct ones."""
    candidates: tuple[int, ...] = (100,)
    """Of the questions, which take turns with these."""
    zipf: float = 0.0
    """Exponent of the questions' popularity; 0: one after the other, so none twice too early."""
    batch_share: float = 0.0
    """Of the lower priority."""
    shape: tuple[float, ...] = (1.0,)
    """Relative rates of equal slices, such as 1,1,6,1 for a burst; Poisson within them."""
    seed: int = 9

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind is {self.kind!r}; it may be {', '.join(KINDS)}")
        if min(self.turns, self.questions, *self.candidates) < 1:
            raise ConfigError("turns, questions and candidates must be 1 or more")
        check_shape(self.shape)
        if self.zipf < 0 or not 0 <= self.batch_share <= 1:
            raise ConfigError("zipf must be 0 or more, a share of 0 to 1")


def draw(folder: BeirFolder, wish: Wish, queries: Path | None = None) -> Traffic:
    """Real queries, each with products of one catalogue that share a word with it first.

    `queries` is a file with one a line; None takes the folder's. Raises `ConfigError` where there
    are too few.
    """
    random = np.random.default_rng(wish.seed)
    texts = _texts(folder, wish.kind)
    asked = _queries(folder, queries)
    most = max(wish.candidates)
    if len(texts) < most or len(asked) < wish.questions:
        raise ConfigError(
            f"{folder.path}: {len(texts)} products of kind {wish.kind}, {len(asked)} queries; "
            f"{most} and {wish.questions} are wanted, give another folder or smaller numbers"
        )
    chosen = [asked[place] for place in random.permutation(len(asked))[: wish.questions]]
    sought = _Index(texts)
    kept: dict[int, int] = {}
    questions = []
    for number, query in enumerate(chosen):
        count = wish.candidates[number % len(wish.candidates)]
        places = sought.first(query, count, random)
        questions.append(
            Question(query, tuple(kept.setdefault(place, len(kept)) for place in places))
        )
    turns = _turns(wish, random)
    own = [texts[place] for place in kept]
    return Traffic(
        _header(wish, folder.path.name, own, questions, turns), tuple(own), tuple(questions), turns
    )


def _texts(folder: BeirFolder, kind: str) -> list[str]:
    recipe = ProductTextRecipe(fields=KINDS[kind], product_tokens=_WHOLE_TOKENS)
    products = folder.products()
    wanted: Sequence[Mapping[str, Any]] = [
        product
        for _, product in sorted(products.items())
        if kind != "descriptions" or len(str(product.get("text", ""))) >= _LEAST_DESCRIPTION
    ]
    return sorted({text for text in map(recipe.compose, wanted) if text})


def _queries(folder: BeirFolder, path: Path | None) -> list[str]:
    if path is None:
        return sorted({text for text in folder.queries().values() if text.strip()})
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give a file with a query a line") from error
    return sorted({line.strip() for line in lines if line.strip()})


class _Index:
    """Which texts hold a word: enough of a first stage for candidates that look like some."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        self._places: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            for word in set(text.lower().split()):
                self._places.setdefault(word, []).append(place)

    def first(self, query: str, count: int, random: np.random.Generator) -> list[int]:
        """Texts with most words of the query, then any."""
        hits: dict[int, int] = {}
        for word in set(query.lower().split()):
            for place in self._places.get(word, ()):
                hits[place] = hits.get(place, 0) + 1
        best = sorted(hits, key=lambda place: (-hits[place], place))[:count]
        while len(best) < count:
            others = random.integers(0, self._count, count).tolist()
            best = list(dict.fromkeys(best + others))[:count]
        return best


def _turns(wish: Wish, random: np.random.Generator) -> tuple[Turn, ...]:
    # Poisson arrivals, of which so many came: independent of each other, in the shape's density.
    ends = np.concatenate([[0.0], np.cumsum(wish.shape)]) / sum(wish.shape)
    edges = np.linspace(0.0, wish.turns, len(ends))
    arrivals = np.interp(np.sort(random.random(wish.turns)), ends, edges).tolist()
    if wish.zipf:
        weights = 1 / np.arange(1, wish.questions + 1) ** wish.zipf
        order = random.choice(wish.questions, len(arrivals), p=weights / weights.sum())
    else:
        order = np.arange(len(arrivals)) % wish.questions
    batch = random.random(len(arrivals)) < wish.batch_share
    return tuple(
        Turn(round(at, 6), int(question), bool(low))
        for at, question, low in zip(arrivals, order, batch, strict=True)
    )


def _header(
    wish: Wish,
    data: str,
    texts: Sequence[str],
    questions: Sequence[Question],
    turns: Sequence[Turn],
) -> Header:
    lengths = [len(texts[at]) for turn in turns for at in questions[turn.question].texts]
    counts = [len(questions[turn.question].texts) for turn in turns]
    repeated = 1 - len({turn.question for turn in turns}) / len(turns)
    return Header(
        FORMAT,
        f"{wish.kind} x {','.join(map(str, wish.candidates))}",
        f"{data}, seed {wish.seed}, zipf {wish.zipf:g}, {wish.batch_share:.0%} batch, shape "
        + ",".join(f"{one:g}" for one in wish.shape),
        round(float(np.mean(lengths)), 1),
        round(float(np.mean(counts)), 1),
        round(repeated, 4),
    )
