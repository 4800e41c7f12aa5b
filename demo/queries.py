"""The made-up shop's queries, and the rule by which products are graded for them.

A query asks for one type of product and for one to three things that must hold of it. Its words
are drawn from the same forms as the titles'; whether they are the same words is chance.

The rule, whole:

- 3: the type asked for, and everything asked holds;
- 2: the type asked for, and one thing asked does not hold;
- 1: the type asked for with more that does not hold, or another type of the same aisle
  (an accessory, or something used in its place);
- 0: everything else.

It looks at the products' facts alone, never at titles, texts or scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from demo.aisles import ProductType, spellings
from demo.listing import place
from demo.products import Product
from demo.vocabulary import ATTRIBUTES, EXCLUDABLE, SHOP_ONLY
from rerank_core.errors import InputError

JUDGED_ZEROS = 30
"""How many products of grade 0 a judged list has, drawn by the seed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that must hold: a fact has this value, or with `negated` has another."""

    fact: str
    value: str
    negated: bool = False

    def holds(self, product: Product) -> bool:
        """Of a product of the type that was asked for."""
        return (product.fact(self.fact) == self.value) is not self.negated


@dataclass(frozen=True, slots=True)
class Query:
    """What a shopper typed and what it means."""

    id: str
    text: str
    kind: str
    type: ProductType
    asked: tuple[Asked, ...]


def grade(query: Query, product: Product) -> int:
    """0 to 3 by the rule above."""
    if product.type.name != query.type.name:
        return int(product.type.aisle == query.type.aisle)
    wrong = sum(not asked.holds(product) for asked in query.asked)
    return max(3 - wrong, 1)


def judged(query: Query, products: Sequence[Product], seed: int) -> dict[str, int]:
    """Grades by product id: all of grade 1 and above, and `JUDGED_ZEROS` drawn from the rest."""
    grades = {product.id: grade(query, product) for product in products}
    zeros = [product_id for product_id, value in grades.items() if value == 0]
    rng = Random(f"{seed}/judged/{query.id}")
    drawn = set(rng.sample(zeros, min(JUDGED_ZEROS, len(zeros))))
    return {
        product_id: value for product_id, value in grades.items() if value or product_id in drawn
    }


def make_queries(products: Sequence[Product], count: int, seed: int) -> tuple[Query, ...]:
    """As many queries as asked for, kinds in turn, no text twice; equal for equal arguments.

    Each is made from what is true of one product, so each has a product of grade 3. Raises
    `InputError` where the products do not give that many.
    """
    if count < 1:
        raise InputError("queries", f"{count} is not 1 or more")
    rng = Random(f"{seed}/queries")
    streams = {kind: _wishes(products, kind, rng) for kind in _KINDS}
    seen: set[str] = set()
    queries: list[Query] = []
    while len(queries) < count:
        kind = tuple(_KINDS)[len(queries) % len(_KINDS)]
        for product, asked in streams[kind]:
            text = _words(product.type, asked, rng)
            if text not in seen:
                break
        else:
            raise InputError(
                "queries",
                f"{len(products)} products give {len(queries)} queries of {count}; "
                "make more products or ask for fewer queries",
            )
        seen.add(text)
        queries.append(
            Query(f"made-up-q{len(queries):04d}", text, kind, product.type, tuple(asked))
        )
    return tuple(queries)


def _wishes(
    products: Sequence[Product], kind: str, rng: Random
) -> Iterator[tuple[Product, list[Asked]]]:
    """Products whom the kind fits, with what might be asked by who means them.

    In random order, but every type once before any comes again.
    """
    taken: Counter[str] = Counter()
    turns = []
    for product in rng.sample(products, len(products)):
        turns.append((taken[product.type.name], product))
        taken[product.type.name] += 1
    for _, product in sorted(turns, key=lambda turn: turn[0]):
        asked = _KINDS[kind](product, rng)
        if asked:
            yield product, asked


def _features(product: Product, rng: Random) -> list[Asked]:
    """Two or three features of a main product."""
    names = product.type.attributes
    if product.type.fits or len(names) < 2:
        return []
    chosen = rng.sample(names, rng.randint(2, min(3, len(names))))
    return [Asked(name, product.attributes[name]) for name in chosen]


def _branded(product: Product, rng: Random) -> list[Asked]:
    """A brand and one feature."""
    name = rng.choice(product.type.attributes)
    return [Asked("brand", product.brand), Asked(name, product.attributes[name])]


def _without(product: Product, rng: Random) -> list[Asked]:
    """A product that lacks something, named by what it lacks."""
    names = [n for n in product.type.attributes if product.attributes[n].startswith("without ")]
    if not names:
        return []
    name = rng.choice(names)
    return [Asked(name, product.attributes[name]), *_more(product, name, rng)]


def _not(product: Product, rng: Random) -> list[Asked]:
    """A material or color that the product must not have."""
    names = [name for name in product.type.attributes if name in EXCLUDABLE]
    if not names:
        return []
    name = rng.choice(names)
    others = [value for value in ATTRIBUTES[name] if value != product.attributes[name]]
    return [Asked(name, rng.choice(others), negated=True), *_more(product, name, rng)]


def _more(product: Product, asked: str, rng: Random) -> list[Asked]:
    """At times one feature more."""
    rest = [name for name in product.type.attributes if name != asked]
    if not rest or rng.random() < 0.5:
        return []
    name = rng.choice(rest)
    return [Asked(name, product.attributes[name])]


def _accessory(product: Product, rng: Random) -> list[Asked]:
    """An accessory, whose words are also in the listings of what it goes with."""
    if not product.type.fits:
        return []
    name = rng.choice(product.type.attributes)
    return [Asked(name, product.attributes[name])]


_KINDS: dict[str, Callable[[Product, Random], list[Asked]]] = {
    "features": _features,
    "brand": _branded,
    "without": _without,
    "not": _not,
    "accessory": _accessory,
}


def _words(product_type: ProductType, asked: Sequence[Asked], rng: Random) -> str:
    """The query as typed: lower case, either in good order or as a heap of words."""
    facts = []
    for item in asked:
        forms = spellings(product_type, item.fact, item.value)
        form = rng.choice([form for form in forms if form not in SHOP_ONLY])
        facts.append(f"not {form}" if item.negated else form)
    name = rng.choice(product_type.forms)
    rng.shuffle(facts)
    tidy = rng.random() < 0.6 and not any(item.negated for item in asked)
    return (place(name, facts) if tidy else " ".join((name, *facts))).lower()
