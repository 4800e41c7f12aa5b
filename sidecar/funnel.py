"""The whole funnel: resolve, embed, retrieve, fuse, rerank, page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.fusion import Fused
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.resolver import Resolved
from rerank_core.cluster.retrieval import IndexGoneError
from rerank_core.engine import CrossEncoder
from rerank_core.errors import InputError, NotFoundError, NotReadyError, ReleaseError
from sidecar.arrangement import Arranged, arrange
from sidecar.asked_fields import check_fields
from sidecar.cursor import Cursor, CursorSigner, query_hash
from sidecar.degraded import Degraded
from sidecar.found import Found, hits_of
from sidecar.live import Live
from sidecar.models import Models, ModelShelf, Served
from sidecar.ranking import NOTHING_RANKED, Candidate, Placed, Ranking, place
from sidecar.rerank import RerankTask, rerank
from sidecar.retriever import Retriever
from sidecar.scorer import Scorer
from sidecar.search_run import RERANK_TEXT, SearchRun
from sidecar.search_task import SearchTask, facet_clauses, filter_clauses, page_size_of
from sidecar.security.caller import Caller
from sidecar.stages import Stages


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
        self._retriever = Retriever(client, scorer.engine)
        self._scorer = scorer
        self._models = models
        self._live = live
        self._signer = signer

    async def search(
        self, task: SearchTask, caller: Caller, deadline: float, stages: Stages
    ) -> Found:
        """One page of a query's result.

        `deadline` is in seconds of `time.monotonic`. Raises `InputError`, `NotFoundError`,
        `ForbiddenError`, `QuotaError`, `ReleaseError`, `ClusterError`, `DeadlineError` and
        `NotReadyError`; a strict task also what would have degraded it.
        """
        profile = self._profile(task.profile, caller)
        models = self._models.models
        filters = filter_clauses(task.filters, profile)
        facets = facet_clauses(task.facets, profile)
        page_size = page_size_of(task, profile)
        if profile.budget_ms is not None:
            deadline = min(deadline, time.monotonic() + profile.budget_ms / 1e3)
        served = _reranker(models, profile)
        asked = query_hash(
            task.profile,
            task.query,
            filters,
            profile.as_json,
            dict(task.parameters),
            served.model.hash if served else "",
        )
        run = SearchRun(task, caller, models, profile, filters, facets, deadline, stages)
        if task.page_token:
            return await self._next_page(run, self._signer.read(task.page_token, asked), page_size)

        found = await self._retriever.first_stage(run)
        ranking = await self._rerank(run, found.resolved, found.fused, found.sources)
        arranged = arrange(found.fused, ranking.placed, profile, task.query, found.sources)
        about = {
            "total": found.lexical.total,
            "exact": found.lexical.total_is_exact,
            "scored": ranking.scored,
            "degraded": [reason.name for reason in dict.fromkeys(run.degraded)],
            "reranker": ranking.model.model.hash if ranking.model else "",
            "fallback": found.fallback,
            "facets": {name: list(counts) for name, counts in found.lexical.facets.items()},
        }
        rest = tuple(arranged[page_size:])
        token = ""
        if rest:
            listed = tuple(hit.as_list for hit in rest)
            token = self._signer.write(
                Cursor(found.resolved.index, asked, page_size, listed, about)
            )
        return Found(
            hits=hits_of(arranged[:page_size], 0, found.sources, profile),
            total=found.lexical.total,
            total_is_exact=found.lexical.total_is_exact,
            facets=found.lexical.facets,
            next_page_token=token,
            degraded=tuple(dict.fromkeys(run.degraded)),
            scored=ranking.scored,
            ranking=ranking,
            index=found.resolved.index,
            reranker=ranking.model,
            encoder=found.encoder,
            profile=profile,
            plan=found.plan,
            fallback=found.fallback,
        )

    async def _next_page(self, run: SearchRun, cursor: Cursor, page_size: int) -> Found:
        """The page that begins where the token says, as the first page's result had it."""
        profile, about = run.profile, cursor.about
        resolved = await self._retriever.resolve(run)
        if cursor.index != resolved.index:
            raise InputError(
                "page_token", "is of an index that was replaced since; begin at the first page"
            )
        check_fields(run.task, run.task.facets, profile, resolved)
        page = [Arranged.of_list(item) for item in cursor.rest[:page_size]]
        try:
            with run.stages.timed("retrieve"):
                sources = await self._retriever.by_keys(run, resolved, [hit.id for hit in page])
                facets = await self._facets(run, resolved, about["facets"])
        except IndexGoneError as gone:
            raise InputError(
                "page_token", "is of an index that is gone; begin at the first page"
            ) from gone
        end = cursor.offset + page_size
        token = ""
        if rest := cursor.rest[page_size:]:
            token = self._signer.write(replace(cursor, offset=end, rest=rest))
        return Found(
            hits=hits_of(page, cursor.offset, sources, profile),
            total=about["total"],
            total_is_exact=about["exact"],
            facets=facets,
            next_page_token=token,
            degraded=tuple(
                dict.fromkeys([*(Degraded[name] for name in about["degraded"]), *run.degraded])
            ),
            scored=about["scored"],
            ranking=NOTHING_RANKED,
            index=resolved.index,
            reranker=_served_still(run.models, about["reranker"]),
            encoder=None,
            profile=profile,
            plan=None,
            fallback=about["fallback"],
        )

    async def _facets(
        self, run: SearchRun, resolved: Resolved, counted: Mapping[str, Any]
    ) -> Mapping[str, Sequence[tuple[str, int]]]:
        """The first page's counts; counted now where it was not asked for them."""
        if run.facets.keys() <= counted.keys():
            return {name: counted[name] for name in run.facets}
        return await self._retriever.count_facets(run, resolved)

    def _profile(self, name: str, caller: Caller) -> Profile:
        # Its right first: whether a profile is there is for nobody else to know.
        caller.check_profile(name)
        profiles = self._live.settings.profiles
        if name not in profiles:
            raise NotFoundError("profile", name, tuple(filter(caller.may_search, profiles)))
        return profiles[name]

    async def _rerank(
        self,
        run: SearchRun,
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
        if not candidates:
            return NOTHING_RANKED
        served = _reranker(run.models, run.profile)
        if served is None:
            run.degrade(
                Degraded.MODEL_NOT_READY,
                NotReadyError(
                    f"profile {run.task.profile} names the cross-encoder {run.profile.reranker!r}, "
                    f"which was rolled back; served are {', '.join(run.models.names)}"
                ),
            )
            return Ranking(place(candidates, {}, None), (), 0, None)
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
        most = run.profile.rerank_depth or len(candidates)
        task = RerankTask(
            query=run.task.query,
            candidates=candidates[:most],
            model=run.profile.reranker,
            strict=run.task.strict,
            priority=run.task.priority,
        )
        ranking = await rerank(task, self._scorer, run.models, run.caller, run.deadline, run.stages)
        run.degraded.extend(ranking.degraded)
        rest = [
            Placed(at.candidate, at.rank + len(ranking.placed), at.score)
            for at in place(candidates[most:], {}, None)
        ]
        return replace(ranking, placed=(*ranking.placed, *rest))


def _reranker(models: Models, profile: Profile) -> Served[CrossEncoder] | None:
    """What the profile ranks by; None where that went with a rollback, which settings outlive."""
    name = profile.reranker
    return models.reranker(name) if not name or name in models.names else None


def _served_still(models: Models, model_hash: str) -> Served[CrossEncoder] | None:
    """What ranked the first page; None where nothing did, or another was put in its place since."""
    return next((one for one in models.rerankers if one.model.hash == model_hash), None)
