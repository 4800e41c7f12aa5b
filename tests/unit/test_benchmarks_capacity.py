"""The queueing model against closed forms and its simulation; the planner by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.capacity.checked import checks
from benchmarks.capacity.plan import Demand, alternatives, cheapest
from benchmarks.capacity.queueing import busy, latency_ms, simulated, wait_ms
from benchmarks.capacity.service import ServiceModel, paired_ratio, spread_of
from benchmarks.points import series_point
from rerank_core.errors import ConfigError
from tests.suite_results import made_result

CONSTANT = [100.0]


def test_mean_wait_by_hand():
    """8 a second of 100 ms: rho .8; constant service waits rho S / 2 (1 - rho) = 200 ms."""
    assert busy(8.0, CONSTANT) == pytest.approx(0.8)
    assert wait_ms(8.0, CONSTANT) == pytest.approx(200.0)
    # Half of the requests 50 ms and half 150: E[S^2] is 12,500, a quarter more.
    assert wait_ms(8.0, [50.0, 150.0]) == pytest.approx(250.0)


def test_exponential_service_has_exponential_latency():
    """M/M/1: the latency's percentiles are ln(1 / (1 - p)) / (mu - lambda)."""
    quantiles = (np.arange(20_000) + 0.5) / 20_000
    services = -100.0 * np.log(1 - quantiles)
    found = latency_ms(5.0, services, (50, 90, 99))
    wanted = [math.log(1 / (1 - p)) / (1 / 100 - 5 / 1000) for p in (0.5, 0.9, 0.99)]
    assert found == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("rate_qps", [1.0, 5.0, 8.0])
@pytest.mark.parametrize("services", [CONSTANT, [50.0, 60.0, 190.0]])
def test_the_simulation_says_the_same(rate_qps, services):
    """Two hundred thousand requests by Lindley's recursion: each percentile within 6 %."""
    wanted = np.percentile(simulated(rate_qps, services, 200_000), (50, 90, 99))
    assert latency_ms(rate_qps, services, (50, 90, 99)) == pytest.approx(wanted, rel=0.06)


def test_more_than_fits_is_refused():
    with pytest.raises(ConfigError, match="more than fits"):
        latency_ms(10.0, CONSTANT, (50,))


def test_service_times_are_those_measured():
    """100 titles of 25 tokens take 100 ms, of 62.5 tokens 250; one core 190; 3 layers half."""
    model = ServiceModel.measured(made_result())
    assert model.service_ms(100, 25, 2) == pytest.approx(100, rel=0.05)
    assert model.service_ms(1000, 25, 2) == pytest.approx(982, rel=0.05)
    assert model.service_ms(100, 62.5, 2) == pytest.approx(250, rel=0.05)
    assert model.service_ms(100, 25, 1) == pytest.approx(190, rel=0.05)
    # Amdahl: 100 = 190 (s + (1 - s) / 2), so s is a nineteenth; on eight cores 190 x .171.
    assert model.serial == pytest.approx(1 / 19, abs=0.03)
    assert model.service_ms(100, 25, 8) == pytest.approx(190 * (1 / 19 + 18 / 19 / 8), rel=0.15)
    assert model.layers[3] == pytest.approx(0.5, rel=0.05)
    assert model.fp32 == pytest.approx(1.6, rel=0.05)


def test_a_fleet_holds_what_was_asked_and_one_less_does_not():
    """As the queueing model has it; the price is cores times hours."""
    model = ServiceModel.measured(made_result())
    demand = Demand(50, 100, 300, 25, most_cores=2, core_hour=0.5)
    fleet = cheapest(model, demand)
    assert fleet.p99_ms <= 300
    assert fleet.price_hour == pytest.approx(0.5 * fleet.all_cores)
    mean_ms = model.service_ms(100, 25, fleet.cores)
    services = [mean_ms * one for one in model.spread]
    fewer = demand.qps / (fleet.replicas - 1)
    assert busy(fewer, services) > 0.85 or latency_ms(fewer, services, (99,))[0] > 300
    latencies = simulated(demand.qps / fleet.replicas, services, 100_000)
    assert np.percentile(latencies, 99) <= 1.05 * 300


def test_alternatives_save_what_they_leave_out():
    """Half of the candidates and half of the layers cost about half; fp32 more than as asked."""
    model = ServiceModel.measured(made_result())
    demand = Demand(200, 100, 1000, 25, core_hour=1.0)
    asked = cheapest(model, demand).price_hour
    prices = {one.name: one.fleet.price_hour for one in alternatives(model, demand) if one.fleet}
    assert prices["50% of the candidates"] == pytest.approx(asked / 2, rel=0.25)
    assert prices["3 layers"] == pytest.approx(asked / 2, rel=0.25)
    assert prices["fp32"] > asked


def test_what_no_replica_can_do_is_said():
    """A request alone takes longer than the deadline on any number of cores."""
    model = ServiceModel.measured(made_result())
    with pytest.raises(ConfigError, match=r"a request alone takes .* fewer candidates"):
        cheapest(model, Demand(1, 1000, 10, 25))
    with pytest.raises(ConfigError, match="must be above 0"):
        Demand(0, 100, 50, 25)


def test_the_model_is_held_against_the_measured_loads():
    """Loads without a budget up to nine tenths busy, at the rate that was reached: 5 and 8.

    450 answers support a p90 and no p99; 15 a second of 100 ms is more than fits.
    """
    found = list(checks(made_result()))
    assert [(one.loop, one.reached_qps, one.percent) for one in found] == [
        ("open, no budget", 5.0, 50), ("open, no budget", 5.0, 90),
        ("open, no budget", 8.0, 50), ("open, no budget", 8.0, 90),
    ]  # fmt: skip
    for one in found:
        assert one.foretold_ms == pytest.approx(one.simulated_ms, rel=0.06)
    assert found[0].measured_ms == pytest.approx(150, rel=0.05)


def test_the_rate_is_the_one_reached():
    """Offered 5 a second, reached 4: by hand 4 x .1 s is .4 busy."""
    result = made_result()
    saturation = result.scenario("saturation")
    points = tuple(
        replace(one, figures=one.figures | {"reached_qps": 4.0}, faults=("late",))
        if one.factors.get("share") == 0.5
        else one
        for one in saturation.points
    )
    others = tuple(one for one in result.scenarios if one.name != "saturation")
    changed = replace(result, scenarios=(*others, replace(saturation, points=points)))
    first = next(checks(changed))
    assert first.reached_qps == 4.0
    assert first.busy == pytest.approx(0.4, rel=0.02)
    assert first.faulted


def test_one_outlier_of_a_hundred_is_not_the_p99():
    """99 of 100 ms and one of 1000: their logarithms vary by .1 x sqrt(.99) x ln 10 = .229.

    The lognormal's p99 by its median is exp(2.326 x .229) = 1.70, not 10; the mean is kept at 1.
    From a thousand samples on they are taken as they are.
    """
    made = np.array(spread_of([100.0] * 99 + [1000.0]))
    assert made.mean() == pytest.approx(1.0)
    assert np.percentile(made, 99) / np.median(made) == pytest.approx(1.70, abs=0.03)
    many = spread_of([100.0] * 990 + [1000.0] * 10)
    assert max(many) / min(many) == pytest.approx(10)
    model = ServiceModel.measured(made_result())
    assert model.samples == 200
    assert not model.tail_measured
    assert replace(model, samples=1000).tail_measured


def test_ratios_are_of_rounds_and_times_are_means():
    """Rounds of 100, 200, 300 and 150, 300, 900: ratios 1.5, 1.5 and 3, the median 1.5."""
    base = series_point({"path": "default"}, {"service_ms": [100.0, 200.0, 300.0]})
    slow = series_point({"path": "fp32"}, {"service_ms": [150.0, 300.0, 900.0]})
    assert paired_ratio(slow, base) == pytest.approx(1.5)
    # Fourteen requests of 100 ms and one of 250: the mean is 110, the median would be 100.
    result = made_result()
    cost = result.scenario("cost")
    points = tuple(
        replace(one, series={"service_ms": (*[one.figures["candidates"] * k] * 14,
                                            one.figures["candidates"] * k * 2.5)})
        for one in cost.points
        for k in [one.figures["tokens_a_pair"] / 25]
    )  # fmt: skip
    others = tuple(one for one in result.scenarios if one.name != "cost")
    model = ServiceModel.measured(
        replace(result, scenarios=(*others, replace(cost, points=points)))
    )
    assert model.service_ms(100, 25, 2) == pytest.approx(110, rel=0.02)


def test_faulted_points_are_named():
    """What the planner rests on, and is not to be believed."""
    result = made_result()
    assert ServiceModel.measured(result).faulted == ()
    saturation = result.scenario("saturation")
    alone, *rest = saturation.points
    told = replace(saturation, points=(replace(alone, faults=("late",)), *rest))
    others = tuple(one for one in result.scenarios if one.name != "saturation")
    model = ServiceModel.measured(replace(result, scenarios=(*others, told)))
    assert model.faulted == (alone.name,)
