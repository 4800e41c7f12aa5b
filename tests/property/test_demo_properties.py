"""What holds of the made-up catalogue whatever the seed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from demo.aisles import spellings
from demo.listing import write_listing
from demo.products import make_products
from demo.queries import grade, make_queries

seeds = st.integers(min_value=0, max_value=2**32)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_a_listing_states_every_fact(seed):
    """A grade can be checked by reading: brand, type and each attribute are written somewhere."""
    for product in make_products(60, seed):
        row = write_listing(product, seed)
        written = f"{row['title']} {row['text']}".lower()

        assert row["brand"] == product.brand
        assert any(form.lower() in written for form in product.type.forms)
        for name, value in product.attributes.items():
            forms = spellings(product.type, name, value)
            assert any(form.lower() in written for form in forms), (name, value, written)
        assert row["color"] in ("", product.attributes.get("color"))


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_every_query_can_be_met_and_missed(seed):
    """A product of grade 3, one of grade 0, something in between, and no query twice."""
    products = make_products(800, seed)
    queries = make_queries(products, 10, seed)

    assert len({query.text for query in queries}) == 10
    for query in queries:
        assert {grade(query, product) for product in products} >= {0, 1, 3}


@given(seed=seeds, fewer=st.integers(1, 40), more=st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_more_products_change_none_that_were_there(seed, fewer, more):
    """A larger shop begins with the smaller one, listings and all."""
    small, large = make_products(fewer, seed), make_products(fewer + more, seed)

    assert large[:fewer] == small
    assert write_listing(large[0], seed) == write_listing(small[0], seed)
