"""A made-up shop to distil on, and the part of its recipes that is always the same."""

from __future__ import annotations

from pathlib import Path

from demo.catalogue import write_catalogue

TEXT = 'text = {fields = ["title", "brand"], query_tokens = 12, product_tokens = 16}'
"""What every model of a recipe reads."""

_SHOP = """
name = "tiny"
[split]
human_queries = 20
[[split.sources]]
folder = "shop"
floor = 0.0
top = 3.0
train = "dev"
dev = ""
held_out = 0.5
[pool]
queries = 30
[[pool.mine]]
queries = "shop"
catalogues = ["shop"]
judged = true
"""


def write_tiny_shop(folder: Path) -> None:
    """``data/shop``, and ``shop.toml`` for recipes to extend."""
    write_catalogue(folder / "data" / "shop", products=200, queries=90, seed=3)
    (folder / "shop.toml").write_text(_SHOP)
