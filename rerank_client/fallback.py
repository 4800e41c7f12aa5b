"""The first stage's order, where the server gave none."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from rerank_client.answers import RankedDocument, Ranking
from rerank_client.asking import Document
from rerank_client.errors import ClientError


def first_stage(documents: Sequence[Document], top_n: int, error: ClientError) -> Ranking:
    """The documents as the first stage had them, cut to `top_n`, with the reason.

    By their ranks, where each has one; else as they stand. For a rank or a `top_n` that is no
    number, too: that may be what kept the request from being sent.
    """
    ranks = [document.first_stage_rank for document in documents]
    places = list(range(len(documents)))
    given: list[int] = [rank for rank in ranks if isinstance(rank, int | Integral)]
    if len(given) == len(documents):
        places.sort(key=lambda place: given[place])
    return Ranking(
        documents=tuple(
            RankedDocument(
                id=documents[place].id,
                index=place,
                first_stage_score=documents[place].first_stage_score,
                first_stage_rank=ranks[place] or place + 1,
                rerank=None,
            )
            for place in places
        )[: top_n if isinstance(top_n, Integral) and top_n > 0 else None],
        degraded=(error.word or error.code.name,),
        scored=0,
        model=None,
        stages_ms={},
        error=error,
    )
