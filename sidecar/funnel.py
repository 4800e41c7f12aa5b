"""The whole funnel: resolve, embed, retrieve, fuse, rerank, page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.fusion import Fused, reciprocal_rank_fusion
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.resolver import AliasResolver, Resolved
from rerank_core.cluster.retrieval import IndexGoneError, LegAnswer, LegCall, Retrieved, retrieve
from rerank_core.engine import BiEncoder, CrossEncoder
from rerank_core.errors import (
    DeadlineError,
    InputError,
    NotFoundError,
    ReleaseError,
    RerankError,
    ScoringError,
)
from sidecar.cursor import Cursor, CursorSigner, query_hash
from sidecar.degraded import Degraded
from sidecar.live import Live
from sidecar.models import Models, ModelShelf, Served
from sidecar.ranking import Candidate, Placed, Ranking, place
from sidecar.rerank import RerankTask, rerank
from sidecar.scorer import Scorer
from sidecar.search_task import SearchTask, facet_clauses, filter_clauses, page_size_of
from sidecar.security.caller import Caller
from sidecar.stages import Stages

_log = structlog.get_logger()

_EMBED_SHARE = 0.5
"""Of the time that a search has left: the most that its query's vector may take."""

RERANK_TEXT = "rerank_text"
"""The stored field that holds a product's text, composed by the cross-encoder's recipe."""


@dataclass(frozen=True, slots=True)
class FoundHit:
    """A product at its place in the whole result."""

    placed: Placed
    fused: Fused
    fields: Mapping[str, Any]
    """The stored fields that the profile returns."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page."""

    hits: tuple[FoundHit, ...]
    lexical: LegAnswer
    """Totals and facets are of its matches."""
    next_page_token: str
    degraded: tuple[Degraded, ...]
    scored: int
    index: str
    reranker: Served[CrossEncoder] | None
    encoder: Served[BiEncoder] | None


@dataclass(frozen=True)
class _Run:
    """One search under way."""

    task: SearchTask
    caller: Caller
    models: Models
    """Those of its beginning, however long it takes."""
    profile: Profile
    filters: list[dict[str, Any]]
    facets: dict[str, Any]
    deadline: float
    stages: Stages
    degraded: list[Degraded] = field(default_factory=list)

    def degrade(self, reason: Degraded, error: RerankError) -> None:
        """Notes why the answer is less than asked for; in a strict search that is its error."""
        if self.task.strict:
            raise error
        self.degraded.append(reason)

    def remaining_s(self) -> float:
        """Time left. Raises `DeadlineError` when there is none."""
        remaining_s = self.deadline - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineError("the budget ended before the cluster was asked")
        return remaining_s


class Funnel:
    """Answers searches by the server's profiles. One a server; for one event loop."""

    def __init__(
        self,
        client: AsyncOpenSearch,
        scorer: Scorer,
        models: ModelShelf,
        live: Live,
        signer: CursorSigner,
    ) -> None:
        self._client = client
        self._scorer = scorer
        self._models = models
        self._live = live
        self._signer = signer
        self._aliases = AliasResolver(client)

    async def search(
        self, task: SearchTask, caller: Caller, deadline: float, stages: Stages
    ) -> Found:
        """One page of a query's result.

        `deadline` is in seconds of `time.monotonic`. Raises `InputError`, `NotFoundError`,
        `ForbiddenError`, `QuotaError`, `ReleaseError`, `ClusterError`, `DeadlineError` and
        `NotReadyError`; a strict task also what would have degraded it.
        """
        profile = self._profile(task.profile)
        caller.check_profile(task.profile)
        models = self._models.models
        filters = filter_clauses(task.filters, profile)
        facets = facet_clauses(task.facets, profile)
        page_size = page_size_of(task, profile)
        asked = query_hash(
            task.profile,
            task.query,
            filters,
            profile.depth,
            dict(profile.legs),
            models.reranker(profile.reranker).model.hash,
        )
        cursor = self._signer.read(task.page_token, asked) if task.page_token else None
        run = _Run(task, caller, models, profile, filters, facets, deadline, stages)

        resolved, encoder, retrieved = await self._first_stage(run)
        if cursor is not None and cursor.index != resolved.index:
            raise InputError(
                "page_token", "is of an index that was replaced since; begin at the first page"
            )
        with stages.timed("fuse"):
            fused = _fuse(retrieved, profile)
            sources = {hit.id: hit.source for leg in retrieved.answers.values() for hit in leg.hits}
        ranking = await self._rerank(run, resolved, fused, sources)

        begin = cursor.offset if cursor else 0
        end = begin + page_size
        token = ""
        if end < len(ranking.placed):
            token = self._signer.write(Cursor(resolved.index, asked, end))
        by_id = {product.id: product for product in fused}
        return Found(
            hits=tuple(
                FoundHit(
                    placed,
                    by_id[placed.candidate.id],
                    _returned(sources[placed.candidate.id], profile),
                )
                for placed in ranking.placed[begin:end]
            ),
            lexical=retrieved.answers.get("lexical", LegAnswer((), total_is_exact=False)),
            next_page_token=token,
            degraded=tuple(dict.fromkeys(run.degraded)),
            scored=ranking.scored,
            index=resolved.index,
            reranker=ranking.model,
            encoder=encoder,
        )

    def _profile(self, name: str) -> Profile:
        profiles = self._live.settings.profiles
        if name not in profiles:
            raise NotFoundError("profile", name, tuple(profiles))
        return profiles[name]

    async def _first_stage(self, run: _Run) -> tuple[Resolved, Served[BiEncoder] | None, Retrieved]:
        try:
            return await self._retrieve(run)
        except IndexGoneError:
            # The alias was swapped, and the index deleted, within the resolver's moment.
            self._aliases.forget(run.profile.alias)
            run.degraded.clear()  # what was wrong with the index that is gone
        try:
            return await self._retrieve(run)
        except IndexGoneError as gone:
            raise ReleaseError(
                f"alias {run.profile.alias!r} leads to index {gone}, which is being deleted; "
                "point the alias at an index that stays"
            ) from gone

    async def _retrieve(self, run: _Run) -> tuple[Resolved, Served[BiEncoder] | None, Retrieved]:
        with run.stages.timed("resolve"):
            resolved = await self._aliases.resolve(run.profile.alias, run.remaining_s())
        with run.stages.timed("embed"):
            encoder, vector = await self._embed(run, resolved)
        calls = _leg_calls(run, resolved, vector)
        with run.stages.timed("retrieve"):
            retrieved = await retrieve(self._client, resolved.index, calls, run.remaining_s())
        for leg, error in retrieved.failures.items():
            # Its kind alone: the cluster's reason may quote the query.
            _log.warning("leg failed", leg=leg, error=type(error).__name__)
            run.degrade(Degraded.LEG_FAILED, error)
        return resolved, encoder, retrieved

    async def _embed(
        self, run: _Run, resolved: Resolved
    ) -> tuple[Served[BiEncoder] | None, list[float] | None]:
        """The query's vector by the encoder that built the index, or no vector."""
        if "vector" not in run.profile.legs:
            return None, None
        wanted = resolved.release.encoder_hash
        encoders = run.models.encoders
        encoder = next((served for served in encoders if served.model.hash == wanted), None)
        if encoder is None:
            run.degrade(
                Degraded.ENCODER_MISMATCH,
                ReleaseError(
                    f"index {resolved.index} was built with bi-encoder "
                    f"{resolved.release.encoder_name} ({wanted[:12]}), which is not loaded; "
                    "load it beside the others or rebuild the index"
                ),
            )
            return None, None
        # A share of what is left, so that busy workers cost the vector leg and not the search.
        until = time.monotonic() + run.remaining_s() * _EMBED_SHARE
        try:
            [vector] = await self._scorer.engine.encode_async(
                encoder.model, [run.task.query], deadline=until, priority=run.task.priority
            )
        except (DeadlineError, ScoringError) as error:
            _log.warning("leg failed", leg="vector", exc_info=error)
            run.degrade(Degraded.LEG_FAILED, error)
            return None, None
        return encoder, vector.tolist()

    async def _rerank(
        self,
        run: _Run,
        resolved: Resolved,
        fused: Sequence[Fused],
        sources: Mapping[str, Mapping[str, Any]],
    ) -> Ranking:
        candidates = tuple(
            Candidate(
                id=product.id,
                index=position,
                first_stage_rank=position + 1,
                first_stage_score=product.score,
                content=str(sources[product.id].get(RERANK_TEXT, "")),
            )
            for position, product in enumerate(fused)
        )
        served = run.models.reranker(run.profile.reranker)
        if not candidates:
            return Ranking((), (), 0, None)
        recipe_hash = served.model.artifact.manifest.recipe.hash
        if recipe_hash != resolved.release.recipe_hash:
            run.degrade(
                Degraded.RECIPE_MISMATCH,
                ReleaseError(
                    f"index {resolved.index} holds text of recipe "
                    f"{resolved.release.recipe_hash[:12]}, cross-encoder {served.name} reads "
                    f"{recipe_hash[:12]}; rebuild the index with this cross-encoder"
                ),
            )
            return Ranking(place(candidates, {}, None), (), 0, None)
        task = RerankTask(
            query=run.task.query,
            candidates=candidates,
            model=run.profile.reranker,
            strict=run.task.strict,
            priority=run.task.priority,
        )
        ranking = await rerank(task, self._scorer, run.models, run.caller, run.deadline, run.stages)
        run.degraded.extend(ranking.degraded)
        return ranking


def _leg_calls(run: _Run, resolved: Resolved, vector: list[float] | None) -> dict[str, LegCall]:
    templates = resolved.release.templates
    common = {
        "size": run.profile.depth,
        "filters": run.filters,
        "source_fields": [*run.profile.fields, RERANK_TEXT],
    }
    parameters: dict[str, dict[str, Any]] = {
        "lexical": {**common, "query": run.task.query, "facets": run.facets}
    }
    if vector is not None:
        parameters["vector"] = {**common, "vector": vector, "k": run.profile.depth}
    for leg in parameters:
        if leg not in templates:
            raise ReleaseError(
                f"index {resolved.index}: its release names no template for leg {leg}; rebuild it"
            )
    return {leg: LegCall(templates[leg], values) for leg, values in parameters.items()}


def _fuse(retrieved: Retrieved, profile: Profile) -> list[Fused]:
    legs = {
        leg: [(hit.id, hit.score) for hit in answer.hits]
        for leg, answer in retrieved.answers.items()
    }
    weights: dict[str, float] = {leg: weight for leg, weight in profile.legs.items()}  # noqa: C416
    return reciprocal_rank_fusion(legs, weights)[: profile.depth]


def _returned(source: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    return {name: source[name] for name in profile.fields if name in source}
