"""Ratios, spreads and rounds of benchmarks, with numbers worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.engine.tables import foretold_errors
from benchmarks.results import Foretold, Peak, Series, Trial
from benchmarks.rounds import interleaved
from benchmarks.statistics import quantile, ratios, spread, unstable


def test_ratios_are_of_one_round():
    """8 / 2 and 6 / 3: a slow round is slow for both, so it is no outlier."""
    assert ratios([8.0, 6.0], [2.0, 3.0]) == [4.0, 2.0]


def test_a_spread_by_hand():
    """Of 1, 2, 9 the median is 2; the bootstrap interval lies within least and most."""
    found = spread([9.0, 1.0, 2.0])
    assert (found.median, found.least, found.most) == (2.0, 1.0, 9.0)
    assert (found.low, found.high) == (1.0, 9.0)  # 26 % of resamples have such a median


def test_errors_of_what_was_foretold():
    """As a share of what it took: 8 for 10 is .2, 15 for 10 is .5, 10 for 10 is 0."""
    foretold = Foretold("p", "W1", "idle", (8.0, 15.0, 10.0), (10.0, 10.0, 10.0))
    errors = foretold_errors(foretold)
    assert errors == pytest.approx([0.2, 0.5, 0.0])
    assert quantile(errors, 0.5) == pytest.approx(0.2)
    # Between the second and the third of three, four fifths of the way.
    assert quantile(errors, 0.9) == pytest.approx(0.2 + 0.8 * 0.3)


def test_equal_values_have_an_interval_without_width():
    """Nothing to resample."""
    found = spread([3.0, 3.0, 3.0])
    assert (found.median, found.low, found.high) == (3.0, 3.0, 3.0)


def test_one_round_claims_no_interval():
    """The interval is the value itself."""
    assert spread([5.0]).low == spread([5.0]).high == 5.0


def test_a_spread_is_the_same_each_time():
    """The resampling has a fixed seed."""
    values = [1.0, 4.0, 2.0, 8.0, 5.0]
    assert spread(values) == spread(values)


def test_unstable_from_a_tenth_of_the_mean():
    """90 and 110: the deviation is 10, a tenth of 100. 91 and 109: it is 9."""
    assert unstable([90.0, 110.0])
    assert not unstable([91.0, 109.0])


def test_rounds_are_interleaved_and_the_first_is_thrown_away():
    """Three contenders, 20 rounds, the first in vain: each once a round, not in one order alone."""
    calls = []

    def contender(name):
        def once(number):
            calls.append((name, number))
            return float(len(calls))

        return once

    samples = interleaved({name: contender(name) for name in "abc"}, 20, pause_s=0.0)
    rounds = [calls[begin : begin + 3] for begin in range(0, 63, 3)]
    assert [{number for _, number in one} for one in rounds] == [{0}, *({n} for n in range(20))]
    assert all(sorted(name for name, _ in one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(name for name, _ in one) for one in rounds}) > 3
    assert {name: len(values) for name, values in samples.items()} == {"a": 20, "b": 20, "c": 20}
    assert min(min(values) for values in samples.values()) > 3.0


def test_share_of_peak_by_hand():
    """1,000 tokens x 20,000,000 operations in 100 ms are 200 x 10^9 a second: half of 400."""
    from benchmarks.engine.tables import compared, share_of_peak  # noqa: PLC0415

    fast = Series("fast", "", (100.0,), "R", 2e7)
    slow = Series("R", "", (300.0,), "R", 2e7)
    trial = Trial("t", "W1", 10, (1000,), (slow, fast), (Peak("p", "", (400.0,)),))
    assert share_of_peak(trial, fast, trial.peaks[0]) == pytest.approx(0.5)
    ratio = compared(trial, fast)
    assert ratio is not None
    assert ratio.median == pytest.approx(3.0)
