"""What scenarios stand on: data, model, scratch, and how long to measure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies, capacity_qps, hold_run
from benchmarks.load.samples import LoadRun
from benchmarks.serving import Build, Sidecar, running
from benchmarks.workload.draw import Wish, draw
from benchmarks.workload.traffic import Traffic
from rerank_client import Document
from rerank_core.artifact import Artifact
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder

# Which set of the shared data has which kind of text. Any other folder gives all kinds itself.
_HOMES = {"titles": "homedepot", "attributes": "icecat", "descriptions": "crowdflower"}
_QUERIES = "unlabelled/queries.txt"
NO_CACHE = ("--limits.score-cache-bytes", "0")


@dataclass(frozen=True)
class Ground:
    """One for a whole run."""

    data: Path
    """A BEIR folder, or a folder of those that `_HOMES` names."""
    artifact: Artifact
    scratch: Path
    quick: bool
    tell: Callable[[str], None]
    candidates: int = 100
    numeric_path: str | None = None
    """What sidecars compute on where a scenario does not say; None leaves it to them."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _alone_qps: dict[tuple[str, str], float] = field(default_factory=dict)

    def pick(self, whole: float, quick: float) -> float:
        """A duration or a count, by how long the run may take."""
        return quick if self.quick else whole

    def folder(self, *names: str) -> BeirFolder:
        """The first of these sets that is there, else the one folder that was given."""
        for name in names:
            if (self.data / name).is_dir():
                return BeirFolder(self.data / name)
        return BeirFolder(self.data)

    def traffic(self, wish: Wish) -> Traffic:
        """A workload; of fewer questions where the folder has no more."""
        folder = self.folder(_HOMES[wish.kind])
        queries = self.data / _QUERIES
        path = queries if queries.is_file() else None
        if path is None:
            wish = replace(wish, questions=min(wish.questions, len(folder.queries())))
        return draw(folder, wish, path)

    def long_traffic(self, wish: Wish) -> Traffic:
        """Descriptions; attributes, and so named, where the catalogue has too few of those."""
        try:
            return self.traffic(replace(wish, kind="descriptions"))
        except ConfigError as error:
            self.tell(f"{error}; attributes are taken instead")
            return self.traffic(replace(wish, kind="attributes"))

    def sidecar(
        self,
        *flags: str,
        model: Path | None = None,
        numeric_path: str | None = None,
        build: Build | None = None,
        http: bool = False,
    ) -> AbstractContextManager[Sidecar]:
        """A sidecar that serves the run's model, another, or that of `--config` in the flags."""
        # A flag would go before the file, also at a reload.
        place = model or self.artifact.folder
        served = () if "--config" in flags else ("--models.reranker", place)
        return running(
            self.scratch / f"sidecar-{next(self._numbers)}",
            *map(str, served),
            *flags,
            build=build,
            numeric_path=numeric_path or self.numeric_path,
            http=http,
        )

    def hold(self, plan: LoadPlan, asked: Bodies) -> LoadRun:
        """One run; what the client alone can do is measured once a workload."""
        kind = (plan.surface, plan.workload)
        if kind not in self._alone_qps:
            self.tell(f"the client alone, {plan.workload}")
            self._alone_qps[kind] = capacity_qps(plan, asked)
        offered = f"{plan.rate_qps:.3g}/s" if plan.open_loop else f"{plan.callers} callers"
        self.tell(f"{plan.workload}, {offered}, {plan.duration_s:g} s")
        return hold_run(plan, asked, self._alone_qps[kind])


def documents(traffic: Traffic, question: int) -> tuple[str, list[Document]]:
    """A question as the client takes it."""
    asked = traffic.questions[question]
    return asked.query, [Document(str(at), text=traffic.texts[at]) for at in asked.texts]
