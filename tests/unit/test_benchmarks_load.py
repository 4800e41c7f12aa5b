"""Arrivals, and what a run of samples says of itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.load.arrivals import poisson, shaped
from benchmarks.load.plan import LoadPlan
from benchmarks.load.samples import LoadRun, Sample, drifts, percentiles, pooled
from rerank_core.errors import ConfigError

PLAN = LoadPlan("127.0.0.1:1", "grpc", "W1", rate_qps=10.0, duration_s=22.0, budget_ms=100.0)


def run_of(samples, capacity_qps=1000.0, plan=PLAN):
    return LoadRun(plan, capacity_qps, tuple(samples))


def answered(count, *, latency_ms=20.0, lag_ms=0.0, outcome="full"):
    """Requests at even distances over 22 seconds."""
    for number in range(count):
        at = 22.0 * number / count
        yield Sample(at, at + lag_ms / 1e3, at + latency_ms / 1e3, outcome)


def test_poisson_arrivals_are_independent_of_each_other():
    """10,000 within five deviations, in order, gaps whose mean is their spread."""
    arrivals = poisson(1000.0, 10.0, seed=3)
    assert abs(len(arrivals) - 10_000) < 500
    assert arrivals == sorted(arrivals)
    assert 0 < arrivals[0] < arrivals[-1] < 10
    gaps = [b - a for a, b in pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.1)
    assert poisson(1000.0, 10.0, seed=3) == arrivals


def test_a_shape_moves_the_rate_and_keeps_the_mean():
    """1, 4, 1 over 6 s at 200 a second: 200, 800 and 200 in its thirds; a slice of 0 is empty."""
    arrivals = shaped(200.0, 6.0, (1, 4, 1), seed=1)
    thirds = [sum(2 * n <= at < 2 * n + 2 for at in arrivals) for n in range(3)]
    for found, expected in zip(thirds, (200, 800, 200), strict=True):
        assert abs(found - expected) < 5 * expected**0.5
    assert all(at >= 5.0 for at in shaped(50.0, 10.0, (0, 1), seed=1))


@pytest.mark.parametrize("shape", [(), (0.0, 0.0), (1.0, -1.0)])
def test_a_shape_of_nothing_is_refused(shape):
    with pytest.raises(ConfigError, match="a shape is numbers of 0 or more"):
        shaped(1.0, 1.0, shape, seed=1)


def test_slices_of_a_load_are_counted_as_one_run():
    """Each of 22 s has 19.8 that count: 39.6 of 44, a tenth of which is warm-up.

    Of ten requests a slice at even distances the first is in its warm-up; those of the second slice
    follow those of the first.
    """
    run = pooled([run_of(answered(10)), run_of(answered(10, latency_ms=200.0), 7.0)])
    assert run.plan.duration_s == pytest.approx(44.0)
    assert run.plan.counted_s == pytest.approx(39.6)
    assert run.capacity_qps == 7.0
    assert len(run.counted) == 18
    assert run.latencies_ms == pytest.approx([20.0] * 9 + [200.0] * 9)
    assert run.reached_qps == pytest.approx(18 / 39.6)
    assert run.goodput_qps == pytest.approx(9 / 39.6)
    assert run.counted[9].intended_s == pytest.approx(4.4 + 19.8)


def test_what_is_shed_is_no_drift():
    """All whole in the first half, nearly all shed at once in the second, the whole ones alike."""
    whole = answered(200, latency_ms=50.0)
    samples = [
        one if one.intended_s < 11 or number % 5 == 0 else replace(one, outcome="degraded")
        for number, one in enumerate(whole)
    ]
    shed = [
        replace(one, done_s=one.sent_s + 0.001) if one.outcome == "degraded" else one
        for one in samples
    ]
    assert run_of(shed).faults() == []
    assert run_of(shed).warnings() == []


def test_latency_counts_from_the_intended_time():
    """Sent 30 ms late and answered 20 ms after: latency 50, service 20."""
    run = run_of([Sample(5.0, 5.03, 5.05, "full")])
    assert run.latencies_ms == pytest.approx([50.0])
    assert run.service_ms == pytest.approx([20.0])


def test_the_warm_up_is_left_out():
    """Of 22 seconds 2.2: a request at 2.0 does not count, one at 2.3 does."""
    early, counted = Sample(2.0, 2.0, 2.9, "full"), Sample(2.3, 2.3, 2.31, "full")
    assert run_of([early, counted]).counted == (counted,)
    assert PLAN.counted_s == pytest.approx(19.8)
    with pytest.raises(ConfigError, match="2 s is all warm-up"):
        LoadPlan("t", "grpc", "W1", 1.0, 2.0, 100.0)


def test_goodput_counts_what_is_whole_and_in_time():
    """Of five the late, the degraded, the failed and what came later are none: 1 in 19.8 s."""
    samples = [
        Sample(5.0, 5.0, 5.05, "full"),
        Sample(6.0, 6.0, 6.101, "full"),
        Sample(21.98, 21.98, 22.02, "full"),  # after the last counted second
        Sample(7.0, 7.0, 7.01, "degraded", "DEADLINE"),
        Sample(8.0, 8.0, 8.01, "error", "UNAVAILABLE"),
    ]
    run = run_of(samples)
    assert run.goodput_qps == pytest.approx(1 / 19.8)
    assert run.outcomes == {"full": 3, "degraded": 1, "error": 1}
    assert len(run.latencies_ms) == 4


def test_no_percentile_that_the_sample_cannot_support():
    """Ten values must lie beyond: 1,000 support p99, 999 do not, 20 support the median alone."""
    assert list(percentiles([1.0] * 1000)) == ["p50", "p90", "p95", "p99"]
    assert list(percentiles([1.0] * 999)) == ["p50", "p90", "p95"]
    assert list(percentiles([1.0] * 20)) == ["p50"]
    assert percentiles([1.0] * 19) == {}


def test_a_valid_run_has_no_fault():
    assert run_of(answered(300)).faults() == []


def test_a_client_that_was_late_is_a_fault():
    (fault,) = run_of(answered(300, lag_ms=3.0)).faults()
    assert "within 3.0 ms, not 1 ms" in fault


def test_a_closed_loop_has_no_time_to_be_late_for():
    plan = LoadPlan("t", "grpc", "W1", 10.0, 22.0, 100.0, callers=2)
    assert run_of(answered(300, lag_ms=3.0), plan=plan).faults() == []


def test_a_client_without_reserve_is_a_fault():
    """49 a second are less than five times the ten offered."""
    (fault,) = run_of(answered(300), capacity_qps=49.0).faults()
    assert "the client alone sends 49 a second, less than 5 x the 10 offered" in fault
    assert run_of(answered(300), capacity_qps=50.0).faults() == []


def test_a_queue_that_grows_is_a_fault():
    """Medians of the halves 20 and 30 ms apart from each other; of 20 and 22 not.

    Of slices each has its halves: three that all rise are no steady load.
    """
    assert drifts([[20.0] * 50 + [30.0] * 50])
    assert not drifts([[20.0] * 50 + [22.0] * 50])
    assert not drifts([[20.0, 90.0]])
    assert drifts([[20.0] * 5 + [30.0] * 5] * 3)
    assert not drifts([[20.0] * 10, [30.0] * 10, [20.0] * 10])


def test_a_bounded_queue_that_fills_is_a_warning_an_unbounded_one_a_fault():
    """20 ms, then 30: with a budget of 100 ms admission bounds it, with 120 s nothing does."""
    rising = [
        replace(one, done_s=one.sent_s + (0.02 if one.sent_s < 12 else 0.03))
        for one in answered(300)
    ]
    bounded = run_of(rising)
    assert bounded.faults() == []
    assert "the medians of the two halves differ by a fifth or more" in bounded.warnings()
    unbounded = run_of(rising, plan=replace(PLAN, budget_ms=120_000.0))
    assert unbounded.faults() == ["the medians of the two halves differ by a fifth or more"]


def test_a_run_without_a_request_is_a_fault():
    assert run_of([]).faults() == ["no request was sent after the warm-up"]
