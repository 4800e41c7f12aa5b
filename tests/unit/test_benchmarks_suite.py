"""Result files of the suite, comparisons, the page, the README's figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.load.histogram import count, merged, percentile_ms
from benchmarks.load.histogram import histogram as encoded
from benchmarks.load.samples import instability
from benchmarks.points import Point, read_suite, series_point, write_suite
from benchmarks.report.changes import batch_medians, changes, holm
from benchmarks.report.knee import best_goodput, kept_share, knee
from benchmarks.report.page import page
from benchmarks.report.readme import BEGIN, END, block, put
from benchmarks.results import Absent
from rerank_core.errors import ConfigError
from tests.suite_results import BUDGET_MS, loaded, made_result, made_run


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=200), st.sampled_from([50.0, 90.0]))
def test_a_histogram_keeps_three_digits(values, percent):
    """Its percentile is within a thousandth of the value at the nearest rank."""
    rank = max(1, int(len(values) * percent / 100 + 0.5))
    wanted = sorted(values)[rank - 1]
    assert percentile_ms(encoded(values), percent) == pytest.approx(wanted, rel=2e-3, abs=2e-3)


def test_histograms_add_up():
    """Two runs of 10 and 20 ms are one of both: four values, the median of all is 10."""
    whole = merged([encoded([10.0, 10.0]), encoded([20.0, 20.0])])
    assert count(whole) == 4
    assert percentile_ms(whole, 50) == pytest.approx(10.0, rel=1e-3)
    assert percentile_ms(whole, 100) == pytest.approx(20.0, rel=1e-3)
    with pytest.raises(ConfigError, match="not an HDR histogram"):
        count("no histogram")


def test_instability_is_that_of_batches():
    """Ten batches of 10 and 30 ms in turns: mean 20, deviation 10. Single outliers say nothing."""
    assert instability(([10.0] * 10 + [30.0] * 10) * 5) == pytest.approx(0.5)
    assert instability(([10.0] * 9 + [900.0]) * 10) == 0.0
    assert instability([10.0, 30.0] * 49) == 0.0  # too few


def test_a_point_has_only_the_percentiles_it_supports():
    """Twenty samples: the median; whole numbers become what is declared."""
    point = series_point({"callers": 4, "loop": "closed"}, {"latency_ms": [10.0] * 20})
    assert point.figures == {"latency_p50_ms": 10.0}
    assert point.factors == {"callers": 4.0, "loop": "closed"}
    assert point.name == "callers 4, loop closed"


def test_a_load_point_counts_scored_documents():
    """Half of the answers were not scored; their latency counts all the same."""
    point = loaded("open", made_run(10.0, 100.0, full=0.5), share=1.0)
    assert point.figures["full_share"] == point.figures["degraded_share"] == 0.5
    assert np.mean(point.series["scored_share"]) == 0.5
    assert point.figures["because_OVERLOAD"] == 100
    assert point.figures["goodput_qps"] == pytest.approx(100 / 27, abs=0.001)


def test_a_result_file_is_read_back_as_it_was(tmp_path):
    """A line a point; another format is refused by name."""
    path = tmp_path / "suite.json"
    result = made_result()
    write_suite(result, path)
    assert read_suite(path) == result
    points = sum(len(one.points) for one in result.scenarios)
    assert len([line for line in path.read_text().splitlines() if '"factors"' in line]) == points
    assert not list(tmp_path.glob(".*"))
    write_suite(replace(result, format=99), path)
    with pytest.raises(ConfigError, match="format 99, this version reads 1"):
        read_suite(path)


def test_everything_three_tenths_slower_is_found():
    """Each point; none the other way round."""
    found = changes(made_result(seed=1), made_result(1.3, seed=2), 0.1)
    assert {one.word for one in found} == {"slower"}
    back = changes(made_result(1.3, seed=2), made_result(seed=1), 0.1)
    assert {one.word for one in back} == {"faster"}
    for one in found:
        assert one.low < one.ratio < one.high


def test_the_same_again_is_not_slower():
    """Ten seeds of the same distribution."""
    for seed in range(10, 20):
        assert not [one for one in changes(made_result(seed=9), made_result(seed=seed), 0.1)
                    if one.word != "same"]  # fmt: skip


def test_less_than_the_threshold_is_the_same():
    """Eight per cent slower is significant and not of interest; with a threshold of 5 % it is."""
    before, after = made_result(seed=1), made_result(1.08, seed=1)
    assert {one.word for one in changes(before, after, 0.1)} == {"same"}
    assert "slower" in {one.word for one in changes(before, after, 0.05)}


def test_two_machines_do_not_compare():
    """Named by their processors; files without a common point are told apart, too."""
    result = made_result()
    other = replace(result, machine=replace(result.machine, processor="Other"))
    with pytest.raises(ConfigError, match="times of two machines do not compare"):
        changes(result, other, 0.1)
    with pytest.raises(ConfigError, match="no scenario with the same point"):
        changes(result, replace(result, scenarios=()), 0.1)


def test_few_samples_are_no_finding():
    """Four against four cannot be significant; that is said, not hidden."""

    def with_starts(ms):
        point = series_point({"start": "x"}, {"serving_ms": [ms, ms + 1, ms + 2, ms + 3]})
        result = made_result()
        (start,) = [one for one in result.scenarios if one.name == "start"]
        return replace(result, scenarios=(replace(start, points=(point,)),))

    (found,) = changes(with_starts(100.0), with_starts(900.0), 0.1)
    assert found.word == "too few"


def test_holm_by_hand():
    """.01, .04, .03: times 3, times 1 and times 2, none smaller than the one before it."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_batches_are_consecutive():
    """Sixty values, twenty batches of three: the middle of each."""
    assert batch_medians(range(60)).tolist() == [float(3 * n + 1) for n in range(20)]
    assert batch_medians([3.0, 1.0]).tolist() == [3.0, 1.0]


def test_the_knee_is_before_the_first_load_that_is_not_kept():
    """At .8 x all are whole and in time, at 1 x four of five."""
    saturation = made_result().scenario("saturation")
    assert knee(saturation).factors["share"] == 0.8
    assert best_goodput(saturation).figures["goodput_qps"] == pytest.approx(200 / 27, abs=0.01)
    first = replace(saturation, points=(loaded("open", made_run(5.0, BUDGET_MS * 2), share=0.5),))
    assert kept_share(first.points[0]) == 0.0
    assert knee(first) is None


def test_the_page_stands_alone():
    """Every scenario and figure is in it; nothing is fetched; faults are shown; text is escaped."""
    result = made_result()
    faulty = Point({"start": "<b>"}, figures={"x_ms": 1.0}, faults=("too <late>",))
    start = replace(result.scenario("start"), points=(faulty,))
    others = tuple(one for one in result.scenarios if one.name != "start")
    gpu = Absent("cuda", "no device")
    html = page(replace(result, scenarios=(*others, start), absent=(gpu,)))
    for scenario in result.scenarios:
        assert f"<h2 id={scenario.name}>" in html
    assert html.count("<svg") == 6
    assert "too &lt;late&gt;" in html
    assert "<b>" not in html
    assert "cuda: no device" in html
    assert "src=" not in html
    assert "<script" not in html
    assert page(result) == page(result)


def test_a_block_needs_its_marks():
    """Both, in order."""
    assert put(f"a{BEGIN}old{END}b", f"{BEGIN}new{END}", Path("x")) == f"a{BEGIN}new{END}b"
    with pytest.raises(ConfigError, match="lacks the marks"):
        put("a", "new", Path("x"))
    whole = made_result()
    without = replace(whole, scenarios=tuple(one for one in whole.scenarios if one.name != "start"))
    with pytest.raises(ConfigError, match="lacks scenario start"):
        block(without, "x")
