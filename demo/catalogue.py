"""The made-up catalogue as a BEIR folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from demo.listing import write_listing
from demo.products import Product, make_products
from demo.queries import JUDGED_ZEROS, Query, judged, make_queries
from rerank_core.errors import ConfigError

DEFAULT_PRODUCTS = 3_000
DEFAULT_QUERIES = 50
DEFAULT_SEED = 7

_HEADLINE = "# A made-up shop"


def write_catalogue(
    folder: Path,
    *,
    products: int = DEFAULT_PRODUCTS,
    queries: int = DEFAULT_QUERIES,
    seed: int = DEFAULT_SEED,
) -> None:
    """Writes corpus.jsonl.gz, queries.jsonl, qrels/dev.tsv and a README that says it is made up.

    The same bytes for equal arguments (under the same zlib; the JSON within, anywhere). A made-up
    catalogue that is there is replaced. Raises `ConfigError` where anything else is there, and
    `InputError` on numbers out of range.
    """
    made = make_products(products, seed)
    asked = make_queries(made, queries, seed)
    _claim(folder)
    # First of all, so that a folder that was cut off is known for ours.
    (folder / "README.md").write_text(_readme(products, queries, seed), encoding="utf-8")
    _write_corpus(folder / "corpus.jsonl.gz", made, seed)
    (folder / "queries.jsonl").write_text(_lines(map(_query_row, asked)), encoding="utf-8")
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "dev.tsv").write_text(_qrels(asked, made, seed), encoding="utf-8")


def _claim(folder: Path) -> None:
    """Refuses a folder with anybody's data in it."""
    readme = folder / "README.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = readme.is_file() and readme.read_text("utf-8", "replace").startswith(_HEADLINE)
        if not ours and any(folder.iterdir()):
            raise ConfigError(
                f"{folder}: holds something else than a made-up catalogue; name a new folder"
            )
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror or error}; name another folder") from error


def _write_corpus(path: Path, products: Iterable[Product], seed: int) -> None:
    text = _lines(write_listing(product, seed) for product in products)
    # No time and no file name in the header: they would differ between equal catalogues.
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _query_row(query: Query) -> dict[str, object]:
    """BEIR's row; `metadata` says what was meant, so that a grade can be checked."""
    return {
        "_id": query.id,
        "text": query.text,
        "metadata": {
            "kind": query.kind,
            "type": query.type.name,
            "asked": {
                item.fact: f"not {item.value}" if item.negated else item.value
                for item in query.asked
            },
        },
    }


def _qrels(queries: Iterable[Query], products: tuple[Product, ...], seed: int) -> str:
    rows = (
        f"{query.id}\t{product_id}\t{value}\n"
        for query in queries
        for product_id, value in judged(query, products, seed).items()
    )
    return "query-id\tcorpus-id\tscore\n" + "".join(rows)


def _lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _readme(products: int, queries: int, seed: int) -> str:
    return f"""{_HEADLINE}

Products, brands, queries and grades in this folder are invented by a program:

    python -m demo make-catalogue FOLDER --products {products} --queries {queries} --seed {seed}

Grades follow from the products' facts (type, brand, attributes) by one rule:

- 3: the type asked for, and everything asked holds;
- 2: the type asked for, and one thing asked does not hold;
- 1: the type asked for with more that does not hold, or another type of the same aisle;
- 0: everything else.

Judged for a query are all products of grade 1 and above and {JUDGED_ZEROS} others drawn by the
seed; every product that is not judged has grade 0. `metadata` in queries.jsonl says what each
query means.
"""
