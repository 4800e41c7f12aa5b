"""The first stage of a search: resolve, embed, ask the legs, fuse."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.features import Features, find_features_async
from rerank_core.cluster.fusion import Fused, LegRank, fuse
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.resolver import AliasResolver, Resolved
from rerank_core.cluster.retrieval import IndexGoneError, LegAnswer, LegCall, retrieve
from rerank_core.cluster.retrieval import Retrieved as Answers
from rerank_core.engine import BiEncoder, Engine
from rerank_core.errors import (
    ClusterError,
    ClusterRefused,
    DeadlineError,
    ReleaseError,
    ScoringError,
)
from sidecar.arrangement import pinned_by
from sidecar.asked_fields import check_fields
from sidecar.degraded import Degraded
from sidecar.legs import HYBRID, ZERO_RESULTS, FirstStage, LegMaker, numbers_of
from sidecar.models import Served
from sidecar.search_run import SearchRun

_log = structlog.get_logger()

_EMBED_SHARE = 0.5
"""Of the time that a search has left: the most that its query's vector may take."""

_FORBIDDEN = (401, 403)
_FEATURES_FRESH_S = 60.0
"""An upgrade of the cluster is seen this much later at most."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the first stage gave, fused."""

    resolved: Resolved
    encoder: Served[BiEncoder] | None
    plan: FirstStage
    fused: list[Fused]
    sources: dict[str, Mapping[str, Any]]
    lexical: LegAnswer
    fallback: str


class Retriever:
    """Asks one cluster. For one event loop."""

    def __init__(self, client: AsyncOpenSearch, engine: Engine) -> None:
        self._client = client
        self._engine = engine
        self._aliases = AliasResolver(client)
        self._known: tuple[float, Features | None] = (0.0, None)
        """When the cluster was asked what it can do, and what it said."""

    async def resolve(self, run: SearchRun) -> Resolved:
        """The index behind the profile's alias. Raises `ReleaseError` and `ClusterError`."""
        with run.stages.timed("resolve"):
            return await self._aliases.resolve(run.profile.alias, run.remaining_s())

    async def first_stage(self, run: SearchRun) -> Retrieved:
        """The candidates. Raises `ReleaseError`, `ClusterError`, `InputError`, `DeadlineError`."""
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

    async def _retrieve(self, run: SearchRun) -> Retrieved:
        resolved = await self.resolve(run)
        check_fields(run.task, run.task.facets, run.profile, resolved)
        await self._features(run)  # remembered; before the vector, which may take its time
        with run.stages.timed("embed"):
            encoder, vector = await self._embed(run, resolved)
        maker = await self._maker(run, resolved, vector)
        plan = maker.first_stage()
        with run.stages.timed("retrieve"):
            try:
                answers = await self._ask(run, resolved, plan.calls)
            except ClusterRefused as refusal:
                # A licence that ran out is seen by asking alone.
                if not plan.native or refusal.status not in _FORBIDDEN:
                    raise
                self._note_refusal(maker.features, refusal)
                maker = await self._maker(run, resolved, vector)
                plan = maker.first_stage()
                answers = await self._ask(run, resolved, plan.calls)
        with run.stages.timed("fuse"):
            fused = _fuse(answers, run.profile, native=plan.native)
        lexical = answers.get(HYBRID if plan.native else "lexical")
        fallback = ""
        if not fused and run.profile.zero_results and ZERO_RESULTS in resolved.release.templates:
            with run.stages.timed("fallback"):
                call = maker.call(ZERO_RESULTS, ZERO_RESULTS)
                found = await self._extra(run, resolved, ZERO_RESULTS, call)
            if found:
                fallback, answers = ZERO_RESULTS, found
                fused = _fuse(answers, run.profile, native=True)
        sources = {hit.id: hit.source for leg in answers.values() for hit in leg.hits}
        wanted = pinned_by(run.profile, run.task.query)
        if absent := [key for key in wanted if key not in sources]:
            # Before the rerank, which may use up all the time there is.
            with run.stages.timed("pin"):
                sources |= await self._pinned(run, resolved, absent)
        lexical = lexical or LegAnswer((), total_is_exact=False)
        return Retrieved(resolved, encoder, plan, fused, sources, lexical, fallback)

    async def _ask(
        self, run: SearchRun, resolved: Resolved, calls: Mapping[str, LegCall]
    ) -> Mapping[str, LegAnswer]:
        retrieved = await self._search(run, resolved, calls)
        for leg, error in retrieved.failures.items():
            # Its kind alone: the cluster's reason may quote the query.
            _log.warning("leg failed", leg=leg, error=type(error).__name__)
            run.degrade(Degraded.LEG_FAILED, error)
        return retrieved.answers

    async def _pinned(
        self, run: SearchRun, resolved: Resolved, keys: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """What rules pin and no leg found; empty where that fails: the answer is there without."""
        try:
            return await self.by_keys(run, resolved, keys)
        except (ClusterError, DeadlineError) as error:
            _log.warning("leg failed", leg="pin", error=type(error).__name__)
            run.degrade(Degraded.LEG_FAILED, error)
        return {}

    async def _maker(
        self, run: SearchRun, resolved: Resolved, vector: list[float] | None
    ) -> LegMaker:
        values: dict[str, Any] = {
            "query": run.task.query,
            "numbers": numbers_of(run.task.query),
            "size": run.profile.depth,
            "filters": [*run.filters, *resolved.filters],
            "facets": run.facets,
            "source_fields": run.source_fields,
        }
        if vector is not None:
            values |= {"vector": vector, "k": run.profile.depth}
        features = await self._features(run)
        return LegMaker(run.task, run.profile, resolved, features, values)

    async def _features(self, run: SearchRun) -> Features:
        since, features = self._known
        if features is None or time.monotonic() - since > _FEATURES_FRESH_S:
            try:
                features = await find_features_async(self._client, run.remaining_s())
            except ClusterRefused as refusal:
                if refusal.status not in _FORBIDDEN:
                    raise
                # A user that may search and not look: what every OpenSearch can.
                _log.warning("cluster does not tell its features", error=str(refusal))
                features = Features("opensearch", "unknown", frozenset({"lang-mustache"}))
            self._known = (time.monotonic(), features)
        return features

    def _note_refusal(self, features: Features, refusal: ClusterRefused) -> None:
        """The cluster is asked to fuse again once what it can do is asked again."""
        _log.warning("cluster refuses to fuse", error=type(refusal).__name__)
        # Not in the cluster's words, which may quote this query: it is said to others, too.
        why = f"it answered {refusal.status}, as without a licence"
        self._known = (self._known[0], replace(features, refuses=why))

    async def _embed(
        self, run: SearchRun, resolved: Resolved
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
            [vector] = await self._engine.encode_async(
                encoder.model, [run.task.query], deadline=until, priority=run.task.priority
            )
        except (DeadlineError, ScoringError) as error:
            # The trace of a deadline says nothing, and writing it takes of the time that is left.
            trace = error if isinstance(error, ScoringError) else None
            _log.warning("leg failed", leg="vector", error=type(error).__name__, exc_info=trace)
            run.degrade(Degraded.LEG_FAILED, error)
            return None, None
        return encoder, vector.tolist()

    async def by_keys(
        self, run: SearchRun, resolved: Resolved, keys: Sequence[str]
    ) -> dict[str, Mapping[str, Any]]:
        """Stored fields of those products that are there and pass the filters, the alias's too."""
        clauses = [{"ids": {"values": list(keys)}}, *run.filters, *resolved.filters]
        body = {
            "size": len(keys),
            "query": {"bool": {"filter": clauses}},
            "_source": run.source_fields,
        }
        call = LegCall("by keys", {}, body)
        found = await self._search(run, resolved, {"keys": call})
        if fault := found.failures.get("keys"):
            raise fault
        return {hit.id: hit.source for hit in found.answers["keys"].hits}

    async def count_facets(
        self, run: SearchRun, resolved: Resolved
    ) -> Mapping[str, Sequence[tuple[str, int]]]:
        """Of the lexical leg's matches; none where that fails: the page is there without."""
        maker = await self._maker(run, resolved, None)
        call = maker.call("lexical", run.profile.template("lexical"), size=0)
        found = await self._extra(run, resolved, "lexical", call)
        return found["lexical"].facets if found else {}

    async def _extra(
        self, run: SearchRun, resolved: Resolved, leg: str, call: LegCall
    ) -> Mapping[str, LegAnswer]:
        """One leg's answer; empty where it fails: the search has an answer without it."""
        try:
            return await self._ask(run, resolved, {leg: call})
        except (ClusterError, DeadlineError) as error:
            _log.warning("leg failed", leg=leg, error=type(error).__name__)
            run.degrade(Degraded.LEG_FAILED, error)
        return {}

    async def _search(
        self, run: SearchRun, resolved: Resolved, calls: Mapping[str, LegCall]
    ) -> Answers:
        return await retrieve(
            self._client, resolved.index, calls, run.remaining_s(), alias=run.profile.alias
        )


def _fuse(answers: Mapping[str, LegAnswer], profile: Profile, *, native: bool) -> list[Fused]:
    if native:
        [(leg, answer)] = answers.items()
        fused = [
            Fused(hit.id, hit.score, (LegRank(leg, rank, hit.score),))
            for rank, hit in enumerate(answer.hits, start=1)
        ]
        return fused[: profile.depth]
    legs = {leg: [(hit.id, hit.score) for hit in answer.hits] for leg, answer in answers.items()}
    weights: dict[str, float] = {leg: profile.legs[leg] for leg in profile.legs}
    return fuse(profile.fusion, legs, weights)[: profile.depth]
