"""`python -m benchmarks plan`: its options."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.capacity.checked import checks
from benchmarks.capacity.plan import Alternative, Demand, alternatives, cheapest
from benchmarks.capacity.service import ServiceModel
from benchmarks.ending import console, told_errors
from benchmarks.points import read_suite
from rerank_core.errors import ConfigError

_RESULT = Path(__file__).parents[2] / "docs" / "results" / "serving-zen3-2cores.json"


def plan(
    qps: Annotated[float, typer.Option(help="Requests a second, at the peak.")],
    candidates: Annotated[float, typer.Option(help="Products a query.")] = 100,
    p99_ms: Annotated[float, typer.Option(help="Latency that 99 % must keep.")] = 200,
    tokens: Annotated[
        float | None, typer.Option(help="Of a pair, mean. Default: the measured titles'.")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Of one replica, at most.")] = 16,
    core_hour: Annotated[float, typer.Option(min=0, help="Price of a core for an hour.")] = 0.04,
    result: Annotated[
        Path, typer.Option(help="Result file of `run saturation cost`, of the machine to plan for.")
    ] = _RESULT,
) -> None:
    """Cores, replicas and price for a load, and what less depth or a smaller model would save.

    From measured costs and a queueing model (M/G/1 a replica), held against a simulation and the
    measured curve. More cores a replica than were measured are extrapolated by Amdahl's law, a p99
    from fewer than 1,000 measured service times by a lognormal; either is marked.
    """
    with told_errors():
        if not result.is_file():
            raise ConfigError(
                f"{result}: no such file; python -m benchmarks run saturation cost --out FILE "
                "makes one, name it by --result"
            )
        measured = read_suite(result)
        model = ServiceModel.measured(measured)
        demand = Demand(qps, candidates, p99_ms, tokens or model.tokens_a_pair, cores, core_hour)
        fleet = cheapest(model, demand)
        others = list(alternatives(model, demand))
        held = list(checks(measured))
    answers = console()
    answers.print(_table([Alternative("as asked", fleet), *others], fleet.price_hour, model))
    answers.print(
        f"{demand.tokens:.1f} tokens a pair; {measured.machine.processor}, measured on "
        f"{model.measured_cores} cores, {measured.numeric_path}; the cost model's worst error "
        f"{model.worst_error:.0%}; serial share {model.serial:.1%}; *: more cores than measured",
        soft_wrap=True,
    )
    if not model.tail_measured:
        answers.print(
            f"~: extrapolated; {model.samples} service times support no p99, its tail is that of "
            "a lognormal fitted to them",
            soft_wrap=True,
        )
    if model.faulted:
        answers.print(
            f"not to be believed: it rests on points with faults: {'; '.join(model.faulted)}",
            soft_wrap=True,
            markup=False,
        )
    check = Table(title="held against the measured curve, ms", title_justify="left")
    check.add_column("loop")
    for name in ("reached/s", "busy", "percentile", "foretold", "simulated", "measured"):
        check.add_column(name, justify="right")
    check.add_column("")
    for one in held:
        check.add_row(
            one.loop,
            f"{one.reached_qps:.2f}",
            f"{one.busy:.0%}",
            f"p{one.percent:g}",
            *(f"{ms:.0f}" for ms in (one.foretold_ms, one.simulated_ms, one.measured_ms)),
            "faulted: not to be believed" if one.faulted else "",
        )
    if held:
        answers.print(check)
    else:
        answers.print(
            "held against nothing: no open loop without a budget had at most nine tenths of what "
            "the model says a replica can serve",
            soft_wrap=True,
        )
    line = {
        "fleet": asdict(fleet),
        "p99_extrapolated": not model.tail_measured,
        "faulted": list(model.faulted),
        "alternatives": {
            one.name: None if one.fleet is None else one.fleet.price_hour for one in others
        },
    }
    print(json.dumps(line, separators=(",", ":")))  # noqa: T201  the answer


def _table(rows: list[Alternative], asked_price: float, model: ServiceModel) -> Table:
    about = "" if model.tail_measured else "~"
    table = Table(title="fewest cores that hold the latency", title_justify="left")
    table.add_column("way")
    for name in ("cores", "replicas x cores", "busy", "alone", "p50", "p99", "an hour", "saves"):
        table.add_column(name, justify="right")
    for row in rows:
        fleet = row.fleet
        if fleet is None:
            table.add_row(row.name, "no replica is fast enough")
            continue
        saved = 1 - fleet.price_hour / asked_price if asked_price else 0.0
        table.add_row(
            row.name,
            str(fleet.all_cores),
            f"{fleet.replicas} x {fleet.cores}{'*' if fleet.extrapolated else ''}",
            f"{fleet.busy:.0%}",
            *(f"{ms:.0f} ms" for ms in (fleet.service_ms, fleet.p50_ms)),
            f"{about}{fleet.p99_ms:.0f} ms",
            f"{fleet.price_hour:.2f}",
            "" if row.name == "as asked" else f"{saved:+.0%}",
        )
    return table
