"""`benchmarks load`: offered rates one after the other, each from a fresh client process."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from benchmarks.child import last_words
from benchmarks.engine.workload import Workload, draw
from benchmarks.load.plan import LoadPlan, Surface
from benchmarks.load.samples import FORMAT, LoadResult, LoadRun
from benchmarks.load.sender import Orders, Sent
from benchmarks.load.surfaces import body
from benchmarks.machine import this_machine
from benchmarks.workload.traffic import Traffic
from rerank_client import ClientError, RerankClient
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder
from rerank_core.records import read_json, to_json

_ASK_S = 5.0
_CAPACITY_S = 3.0
_CAPACITY_CALLERS = 16
# Beyond its duration: connecting, and answers that come as late as their budget allows.
_PATIENCE_S = 60.0


def plan(
    *,
    target: str,
    surface: str,
    workload: str,
    duration_s: float,
    budget_ms: float,
    shape: str,
    callers: int,
) -> LoadPlan:
    """A plan from words of a command line, its rate still open. Raises `ConfigError`."""
    for known in get_args(Surface):
        if surface == known:
            return LoadPlan(
                target,
                known,
                workload,
                0.0,
                duration_s,
                budget_ms,
                numbers("shape", shape),
                callers,
            )
    raise ConfigError(f"surface is {surface!r}; it may be {', '.join(get_args(Surface))}")


def numbers(name: str, words: str) -> tuple[float, ...]:
    """Numbers between commas, as an option has them. Raises `ConfigError`."""
    try:
        return tuple(float(word) for word in words.split(","))
    except ValueError as error:
        raise ConfigError(f"{name} is {words!r}; give numbers such as 1,4,1") from error


def workload(folder: Path, name: str, *, requests: int, candidates: int) -> Workload:
    """Real queries with products of the same catalogue. Raises `ConfigError`."""
    tokenizer_json = (named_folder("student") / "tokenizer.json").read_text(encoding="utf-8")
    drawn = draw(BeirFolder(folder), tokenizer_json, requests=requests, candidates=candidates)
    for one in drawn:
        if one.name == name:
            return one
    raise ConfigError(f"text is {name!r}; it may be {', '.join(one.name for one in drawn)}")


@dataclass(frozen=True)
class Bodies:
    """Requests as they are sent: distinct bodies, and which comes when."""

    bodies: tuple[bytes, ...]
    traffic: Traffic | None = None
    turns: tuple[int, ...] = ()

    @classmethod
    def of(cls, asked: Workload | Traffic, surface: Surface) -> Bodies:
        """Requests that take turns, or those of a workload file in its order."""
        if isinstance(asked, Traffic):
            bodies, turns = asked.bodies(surface)
            return cls(tuple(bodies), asked, tuple(turns))
        return cls(tuple(body(surface, one.query, one.texts) for one in asked.requests))

    def arrivals_s(self, plan: LoadPlan) -> tuple[float, ...] | None:
        """Those of the file; None where there is no file, so that the plan's count."""
        if self.traffic is None or not plan.open_loop:
            return None
        return tuple(self.traffic.arrivals_s(plan.rate_qps, plan.duration_s))


def measure(
    plan: LoadPlan,
    *,
    rates: Sequence[float],
    workload: Workload | Traffic,
    tell: Callable[[str], object],
) -> LoadResult:
    """One run a rate, lowest first. Raises `ConfigError` where no server answers."""
    with RerankClient(plan.target, timeout_s=_ASK_S) as client:
        try:
            info = client.model_info() if plan.surface == "grpc" else None
        except ClientError as error:
            raise ConfigError(f"{plan.target}: no sidecar answers: {error}") from error
    asked = Bodies.of(workload, plan.surface)
    tell(f"{plan.surface}, the client alone")
    alone_qps = capacity_qps(plan, asked)
    runs = []
    for rate in sorted(rates):
        tell(f"{plan.surface}, {rate:g} a second, {plan.duration_s:g} s")
        runs.append(hold_run(replace(plan, rate_qps=rate), asked, alone_qps))
    # Stock HTTP clients have no call that tells.
    version = info.version if info else None
    return LoadResult(
        FORMAT,
        this_machine(),
        version.hash if version else "",
        version.numeric_path if version else "",
        tuple(runs),
    )


def hold_run(plan: LoadPlan, asked: Bodies, alone_qps: float) -> LoadRun:
    """One run on a server that is there, by a client that sends `alone_qps` to nothing.

    Raises `ConfigError` where the client cannot reach the server.
    """
    sent = _send(plan, asked)
    return LoadRun(plan, alone_qps, sent.samples, sent.began_s)


def capacity_qps(plan: LoadPlan, asked: Bodies) -> float:
    """Requests a second that the client sends and reads, closed loop, to a server of nothing."""
    with _nothing(plan.surface) as target:
        alone = replace(
            plan,
            target=target,
            duration_s=_CAPACITY_S,
            callers=_CAPACITY_CALLERS,
            budget_ms=_PATIENCE_S * 1e3,
        )
        samples = _send(alone, asked).samples
    counted = [one for one in samples if one.intended_s >= alone.warm_up_s]
    return len(counted) / alone.counted_s


def _send(plan: LoadPlan, asked: Bodies) -> Sent:
    bodies = tuple(base64.b64encode(one).decode("ascii") for one in asked.bodies)
    orders = Orders(plan, bodies, asked.arrivals_s(plan), asked.turns)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load.sender"],
            input=json.dumps(to_json(orders)),
            capture_output=True,
            text=True,
            timeout=plan.duration_s + plan.budget_ms / 1e3 + _PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"{plan.target}: the client did not end; is a {plan.surface} server there?"
        ) from error
    if done.returncode:
        raise ConfigError(f"{plan.target}: the client failed: {last_words(done)}")
    return read_json(Sent, done.stdout, "the client", ConfigError)


@contextmanager
def _nothing(surface: Surface) -> Iterator[str]:
    with subprocess.Popen(  # noqa: S603  a literal of ours
        [sys.executable, "-m", "benchmarks.load.nothing", surface],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            port = server.stdout.readline().strip() if server.stdout else ""
            if not port:
                raise ConfigError("the server that does nothing did not start")
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
