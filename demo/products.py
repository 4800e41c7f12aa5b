"""The made-up shop's products: what is true of each, before a word is written about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from demo.aisles import TYPES, ProductType
from demo.vocabulary import ATTRIBUTES, BRANDS
from rerank_core.errors import InputError

MOST_PRODUCTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Product:
    """Facts; grades follow from them and from nothing else."""

    id: str
    type: ProductType
    brand: str
    attributes: Mapping[str, str]
    """One value for each of the type's attributes, by its plain name."""
    price_cents: int

    def fact(self, name: str) -> str:
        """The value of an attribute, or the brand. Raises `KeyError` on what it does not have."""
        return self.brand if name == "brand" else self.attributes[name]


def make_products(count: int, seed: int) -> tuple[Product, ...]:
    """Equal products for equal arguments; a larger count only adds at the end.

    Raises `InputError` on a count that is not 1 to `MOST_PRODUCTS`.
    """
    if not 1 <= count <= MOST_PRODUCTS:
        raise InputError("products", f"{count} is not 1 to {MOST_PRODUCTS}")
    return tuple(_product(index, seed) for index in range(count))


def _product(index: int, seed: int) -> Product:
    # A stream of its own for each product, so that none depends on those before it.
    rng = Random(f"{seed}/product/{index}")
    product_type = rng.choice(TYPES)
    low, high = product_type.price_cents
    return Product(
        id=f"made-up-{index:06d}",
        type=product_type,
        brand=rng.choice(BRANDS[product_type.department]),
        attributes=MappingProxyType(
            {name: rng.choice(tuple(ATTRIBUTES[name])) for name in product_type.attributes}
        ),
        # Shops have more cheap things than dear ones, and prices that end in 99.
        price_cents=int(low * (high / low) ** rng.random()) // 100 * 100 + 99,
    )
