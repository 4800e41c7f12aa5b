"""A new model put in place while requests come in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc

from benchmarks.engine.folders import copy_model
from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies
from benchmarks.load.samples import LoadRun, Sample
from benchmarks.points import Point, load_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.serving import Sidecar
from benchmarks.workload.draw import Wish
from rerank_core.artifact import seal_artifact
from rerank_proto.rerank.v1 import rerank_pb2 as pb

ABOUT = (
    "Titles, Poisson arrivals at half of the capacity. A third into the run the settings name "
    "another folder (the same weights under another hash) and the server is told to reload; "
    "loading, checking and warming go on beside the traffic. Points are requests that were "
    "answered before, those under way at some moment of it, and those sent after."
)

_SHARE = 0.5
_BUDGET_MS = 120_000.0
_RELOAD = "/rerank.v1.AdminService/Reload"


def points(ground: Ground) -> Iterator[Point]:
    """Before, during, after; `during` is from the call of Reload to its answer."""
    folder = copy_model(ground.artifact, ground.scratch / "swapped")
    recipe = replace(
        ground.artifact.manifest.recipe,
        product_tokens=ground.artifact.manifest.recipe.product_tokens - 1,
    )
    seal_artifact(folder, name="swapped", kind="cross-encoder", recipe=recipe)
    config = ground.scratch / "swap.toml"
    _name(config, ground.artifact.folder)
    traffic = ground.traffic(Wish(turns=1000, questions=200, candidates=(ground.candidates,)))
    asked = Bodies.of(traffic, "grpc")
    with ground.sidecar("--config", str(config), *NO_CACHE) as sidecar:
        plan = LoadPlan(
            sidecar.target,
            "grpc",
            traffic.name,
            rate_qps=0.0,
            duration_s=ground.pick(12, 6),
            budget_ms=_BUDGET_MS,
            callers=4,
        )
        rate_qps = _SHARE * ground.hold(plan, asked).reached_qps
        run_s = ground.pick(60, 18)
        memory = sidecar.resident_bytes()[0]
        steady = replace(plan, callers=0, rate_qps=rate_qps, duration_s=run_s)
        swap = _Swap(sidecar, config, folder, run_s / 3)
        swap.start()
        run = ground.hold(steady, asked)
        swap.join()
        after_bytes, most_bytes = sidecar.resident_bytes()
    shared = {
        "offered_qps": rate_qps,
        "reload_ms": (swap.ended_s - swap.began_s) * 1e3,
        "resident_before_bytes": float(memory),
        "resident_after_bytes": float(after_bytes),
        "resident_most_bytes": float(most_bytes),
        "swapped": float(swap.error == ""),
    }
    began_s, ended_s = swap.began_s - run.began_s, swap.ended_s - run.began_s
    phases: dict[str, list[Sample]] = {"before": [], "during": [], "after": []}
    for one in run.samples:
        phase = "before" if one.done_s < began_s else "after" if one.sent_s > ended_s else "during"
        phases[phase].append(one)
    for phase, samples in phases.items():
        part = LoadRun(run.plan, run.capacity_qps, tuple(samples))
        point = load_point(part, {"phase": phase}, ground.candidates)
        figures = {
            name: value for name, value in point.figures.items() if not name.endswith("_qps")
        }
        failed = (swap.error,) if swap.error else ()
        yield replace(point, figures=figures | shared, faults=point.faults + failed)


class _Swap(threading.Thread):
    """Waits, names the other folder, calls Reload. Times are of `time.perf_counter`."""

    def __init__(self, sidecar: Sidecar, config: Path, folder: Path, after_s: float) -> None:
        super().__init__(daemon=True)
        self._sidecar, self._config, self._folder = sidecar, config, folder
        self._after_s = after_s
        self.began_s = self.ended_s = 0.0
        self.error = ""

    def run(self) -> None:
        time.sleep(self._after_s)
        _name(self._config, self._folder)
        self.began_s = time.perf_counter()
        with grpc.insecure_channel(self._sidecar.target) as channel:
            call = channel.unary_unary(
                _RELOAD,
                request_serializer=pb.ReloadRequest.SerializeToString,
                response_deserializer=pb.ReloadResponse.FromString,
            )
            try:
                call(pb.ReloadRequest(), timeout=60)
            except grpc.RpcError as error:
                self.error = f"the reload failed: {error}"
        self.ended_s = time.perf_counter()


def _name(config: Path, folder: Path) -> None:
    config.write_text(f'[models]\nreranker = "{folder}"\n', encoding="utf-8")
