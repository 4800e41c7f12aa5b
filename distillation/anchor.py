"""Unlabelled lists: products mined for a query, with the bi-encoder's similarity as target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from distillation.lists import TargetList
from distillation.precision import in_bfloat16
from rerank_core.errors import InputError
from rerank_core.hashing import hash_file, hash_json
from rerank_core.text import ProductTextRecipe

Vectors = npt.NDArray[np.float32]


def encode(folder: Path, texts: Sequence[str], cache: Path) -> Vectors:
    """Unit vectors of texts by the bi-encoder in `folder`, shape ``(texts, dimensions)``.

    Kept under `cache` by the hash of weights and texts, since they take minutes.
    """
    key = hash_json([hash_file(folder / "model.safetensors"), list(texts)])
    path = cache / f"vectors-{key[:16]}.npy"
    if path.is_file():
        kept: Vectors = np.load(path)
        return kept
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16()):
        vectors: Vectors = model.encode(
            list(texts),
            batch_size=64,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=True,
        ).astype(np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".new.npy")
    np.save(staged, vectors)
    staged.replace(path)
    return vectors


def anchor_lists(
    queries: Sequence[str],
    products: Sequence[Mapping[str, Any]],
    similarity: tuple[Vectors, Vectors],
    *,
    recipe: ProductTextRecipe,
    list_products: int,
    scale: float,
    random: np.random.Generator,
) -> list[TargetList]:
    """One list a query; its targets are `scale` times the cosine.

    `similarity` holds the vectors of queries and of products. Ranks are drawn log-uniformly, so
    that near neighbours, far ones and strangers take part alike. Every other list, by chance,
    shows the recipe's first field alone, since shops' texts differ in length more than in titles.
    Raises `InputError` where there are fewer products than a list holds.
    """
    query_vectors, product_vectors = similarity
    total = len(products)
    if total < list_products:
        raise InputError("anchor", f"{total} products are too few for lists of {list_products}")
    short = ProductTextRecipe(fields=recipe.fields[:1])
    lists = []
    for query, vector in zip(queries, query_vectors, strict=True):
        cosines = product_vectors @ vector
        ranks = _log_uniform_ranks(total, list_products, random)
        deepest = int(ranks.max()) + 1
        # Only as far down as the deepest rank that was drawn, which is cheaper than a full sort.
        top = np.argpartition(-cosines, min(deepest, total - 1))[:deepest]
        order = top[np.argsort(-cosines[top], kind="stable")]
        chosen = order[ranks]
        shown = short if random.random() < 0.5 else recipe
        lists.append(
            TargetList(
                query,
                [shown.compose(products[index]) for index in chosen],
                (scale * cosines[chosen]).astype(np.float32),
            )
        )
    return lists


def _log_uniform_ranks(total: int, count: int, random: np.random.Generator) -> npt.NDArray[np.intp]:
    """`count` different ranks of 0..total-1, small ones as likely as log-uniform makes them."""
    ranks: set[int] = set()
    while len(ranks) < count:
        ranks.add(min(int(total ** random.random()) - 1, total - 1))
    return np.array(sorted(ranks), np.intp)
