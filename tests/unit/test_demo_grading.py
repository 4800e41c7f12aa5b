"""Grades follow from facts by the stated rule, worked out here by hand."""

import pytest

from demo.aisles import TYPES
from demo.products import Product, make_products
from demo.queries import Asked, Query, grade, judged, make_queries
from rerank_core.errors import InputError

_TYPE = {t.name: t for t in TYPES}


def _product(name, brand="Drillhaven", **attributes):
    return Product(f"made-up-{name}", _TYPE[name], brand, attributes, 4999)


def _query(name, *asked):
    return Query("q", "words play no part", "features", _TYPE[name], asked)


_CORDLESS_BRUSHLESS = _query(
    "drill", Asked("power", "18V cordless"), Asked("motor", "brushless"), Asked("brand", "Sawfell")
)


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (_product("drill", "Sawfell", power="18V cordless", motor="brushless"), 3),
        (_product("drill", "Drillhaven", power="18V cordless", motor="brushless"), 2),
        (_product("drill", "Sawfell", power="corded", motor="brushless"), 2),
        (_product("drill", "Sawfell", power="corded", motor="brushed"), 1),
        (_product("drill", "Drillhaven", power="corded", motor="brushed"), 1),
        (_product("impact driver", "Sawfell", power="18V cordless", motor="brushless"), 1),
        (_product("drill bit set", "Sawfell"), 1),
        (_product("circular saw", "Sawfell", power="18V cordless", motor="brushless"), 0),
        (_product("kettle", "Kettlewick"), 0),
    ],
)
def test_the_grade_counts_what_does_not_hold(product, expected):
    """All holds 3, one wrong 2, more wrong or a relative 1, another aisle 0."""
    assert grade(_CORDLESS_BRUSHLESS, product) == expected


@pytest.mark.parametrize(("body", "expected"), [("glass", 3), ("enamel", 3), ("plastic", 2)])
def test_what_must_not_be_is_wrong_where_it_is(body, expected):
    """Whoever wants no plastic takes every other body."""
    query = _query("kettle", Asked("kettle body", "plastic", negated=True))

    assert grade(query, _product("kettle", **{"kettle body": body})) == expected


def test_the_judged_are_all_that_matter_and_thirty_that_do_not():
    """All of grade 1 and above, 30 zeros, and the grade is the rule's."""
    products = make_products(400, seed=1)
    query = make_queries(products, 1, seed=1)[0]

    grades = judged(query, products, seed=1)

    by_rule = {product.id: grade(query, product) for product in products}
    assert {name for name, value in by_rule.items() if value} <= set(grades)
    assert sum(value == 0 for value in grades.values()) == 30
    assert all(by_rule[name] == value for name, value in grades.items())


def test_kinds_come_in_turn():
    """Fifty queries are ten of each kind."""
    queries = make_queries(make_products(600, seed=3), 50, seed=3)

    kinds = [query.kind for query in queries]
    assert kinds == ["features", "brand", "without", "not", "accessory"] * 10


def test_queries_of_a_kind_ask_for_different_types():
    """No type comes twice in a kind before each has come once."""
    queries = make_queries(make_products(2000, seed=3), 50, seed=3)

    branded = [query.type.name for query in queries if query.kind == "brand"]
    assert len(set(branded)) == len(branded) == 10


@pytest.mark.parametrize("count", [0, -1, 1_000_001])
def test_a_wrong_count_of_products_is_named(count):
    """The message names the argument and its range."""
    with pytest.raises(InputError, match=f"products: {count} is not 1 to 1000000"):
        make_products(count, seed=1)


def test_more_queries_than_the_products_give_is_an_error():
    """Not a shorter list: the message says how many there are and what to do."""
    with pytest.raises(InputError, match="make more products or ask for fewer queries"):
        make_queries(make_products(20, seed=1), 500, seed=1)
    with pytest.raises(InputError, match="queries: 0 is not 1 or more"):
        make_queries(make_products(20, seed=1), 0, seed=1)
