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
from benchmarks.report.knee import Knee, best_goodput, capacity, knee
from benchmarks.report.page import page
from benchmarks.report.readme import BEGIN, END, block, put
from benchmarks.report.whole import Kept, full_figures, kept_of, whole_ms
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
    """Each time of each point; none the other way round. A third less goodput is no better."""
    times = {"whole latency", "service", "serving"}
    found = changes(made_result(seed=1), made_result(1.3, seed=2), 0.1)
    assert {one.word for one in found if one.of in times} == {"slower"}
    assert not {"faster", "better"} & {one.word for one in found}
    back = changes(made_result(1.3, seed=2), made_result(seed=1), 0.1)
    assert {one.word for one in back if one.of in times} == {"faster"}
    assert not {"slower", "worse"} & {one.word for one in back}
    for one in found:
        assert one.low <= one.ratio <= one.high


def of_saturation(*points):
    """A result of these points alone."""
    result = made_result()
    return replace(
        result, scenarios=(replace(result.scenario("saturation"), points=tuple(points)),)
    )


def words(before, after):
    found = changes(of_saturation(before), of_saturation(after), 0.1)
    return {one.of: one.word for one in found}


def test_a_build_that_sheds_is_worse_not_faster():
    """Nine of ten come back in 7 ms, as they were: whole ones take as long, but they are fewer."""
    whole = made_run(10.0, 200.0, count=200)
    shed = replace(
        whole,
        samples=tuple(
            one
            if number % 10 == 0
            else replace(one, done_s=one.sent_s + 0.007, outcome="degraded", scored=0)
            for number, one in enumerate(whole.samples)
        ),
    )
    found = words(loaded("open", whole, share=1.0), loaded("open", shed, share=1.0))
    assert found == {"whole latency": "same", "share kept": "worse", "goodput": "worse"}
    back = words(loaded("open", shed, share=1.0), loaded("open", whole, share=1.0))
    assert back == {"whole latency": "same", "share kept": "better", "goodput": "better"}


def test_less_throughput_of_a_closed_loop_is_worse():
    """Four callers get 270 answers in 27 s, then 135; 270 and 260 differ by chance."""

    def four(count):
        run = made_run(0.0, 400.0, callers=4, count=count, budget_ms=120_000.0)
        return loaded("closed", run, callers=4)

    assert words(four(270), four(135))["goodput"] == "worse"
    assert words(four(270), four(260))["goodput"] == "same"
    (one,) = [
        one
        for one in changes(of_saturation(four(270)), of_saturation(four(135)), 0.1)
        if one.of == "goodput"
    ]
    assert (one.before, one.after) == pytest.approx((10.0, 5.0), abs=0.2)


def test_what_vanished_is_gone_and_what_is_faulted_decides_nothing():
    """A point that is not there, one without whole answers, a scenario that failed."""
    sound = loaded("open", made_run(10.0, 200.0), share=1.0)
    other = loaded("open", made_run(5.0, 200.0), share=0.5)
    assert words(sound, other) == {"": "gone"}
    assert words(sound, loaded("open", made_run(10.0, 7.0, full=0.0), share=1.0)) == {"": "gone"}
    failed = replace(
        of_saturation(sound), scenarios=(), absent=(Absent("saturation", "no server"),)
    )
    assert [one.word for one in changes(of_saturation(sound), failed, 0.1)] == ["gone"]
    late = replace(loaded("open", made_run(10.0, 390.0), share=1.0), faults=("late",))
    assert words(sound, late) == words(late, sound) == {"": "faulted"}


def test_five_starts_of_two_and_of_twenty_seconds_are_slower():
    """Corrected within the scenario: p is 2 / C(10, 5) = .0079, and it is one test, not fifty.

    Eight such points: .0079 x 8 is .063, so no outcome could be significant.
    """

    def starts(factor, points):
        scenario = made_result().scenario("start")
        made = tuple(
            series_point(
                {"start": f"{number}"},
                {"serving_ms": [factor * (2000.0 + ms) for ms in range(number, number + 5)]},
            )
            for number in range(points)
        )
        others = tuple(one for one in made_result().scenarios if one.name != "start")
        return replace(made_result(), scenarios=(*others, replace(scenario, points=made)))

    for points, word in ((1, "slower"), (8, "too few")):
        found = changes(starts(1, points), starts(10, points), 0.1)
        assert {one.word for one in found if one.scenario == "start"} == {word}


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


def test_two_machines_or_paths_do_not_compare():
    """Named by their processors; files without a common point are told apart, too."""
    result = made_result()
    other = replace(result, machine=replace(result.machine, processor="Other"))
    with pytest.raises(ConfigError, match="times of two machines do not compare"):
        changes(result, other, 0.1)
    with pytest.raises(ConfigError, match="computed on native-int8 and on native-int16"):
        changes(result, replace(result, numeric_path="native-int16"), 0.1)
    with pytest.raises(ConfigError, match="no scenario with points in common"):
        changes(result, replace(result, scenarios=()), 0.1)


def test_few_samples_are_no_finding():
    """Three against three: p is 2 / C(6, 3) = .1 at least, never significant. That is said."""

    def with_starts(ms):
        point = series_point({"start": "x"}, {"serving_ms": [ms, ms + 1, ms + 2]})
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


def test_the_knee_lies_between_loads_that_are_decided():
    """720 of 720 at 8 a second, 720 of 900 at 10."""
    saturation = made_result().scenario("saturation")
    assert knee(saturation) == Knee(pytest.approx(8.0), pytest.approx(10.0), 0)
    assert knee(saturation).told == "between 8.0 and 10.0 a second"
    assert best_goodput(saturation).figures["goodput_qps"] == pytest.approx(10, abs=0.3)
    assert capacity(saturation).figures["reached_qps"] == pytest.approx(10)


def test_few_requests_decide_no_knee():
    """120 of 120: Clopper and Pearson's low end is .025^(1/120) = .970, under 99 %.

    368 of 368 are enough: .025^(1/368) = .99003.
    """
    assert Kept(120, 120).interval == pytest.approx((0.9697, 1.0), abs=1e-4)
    assert Kept(0, 0).interval == (0.0, 1.0)
    saturation = made_result().scenario("saturation")

    def told(count, ms=200.0):
        point = loaded("open", made_run(5.0, ms, count=count), share=0.5)
        return knee(replace(saturation, points=(point,))).told

    assert told(120) == "not decided by so few requests"
    assert told(368) == "at least 13.6 a second"
    assert told(120, ms=BUDGET_MS * 2) == "below 4.4 a second"


def test_no_figure_rests_on_a_load_with_faults():
    """The load of 8 a second is faulted: the knee is between 5 and 10, and says what it left out.

    With all of them faulted there is no best goodput.
    """
    saturation = made_result().scenario("saturation")

    def faulted(*shares):
        return replace(
            saturation,
            points=tuple(
                replace(one, faults=("late",)) if one.factors.get("share") in shares else one
                for one in saturation.points
            ),
        )

    assert knee(faulted(0.8)).told == "between 5.0 and 10.0 a second (1 faulted loads left out)"
    assert best_goodput(faulted(2.0, 10.0)).factors["share"] in {0.8, 1.0}
    none = faulted(0.5, 0.8, 1.0, 2.0, 10.0)
    assert best_goodput(none) is None
    assert knee(none) == Knee(None, None, 5)


def test_percentiles_are_of_whole_answers():
    """Half take 400 ms and are whole, half 7 ms and are not: the median of whole ones is 400.

    A file from before the series was kept says the same by what share was scored.
    """
    whole = made_run(10.0, 400.0, count=200, budget_ms=1000.0)
    half = replace(
        whole,
        samples=tuple(
            one
            if number % 2
            else replace(one, done_s=one.sent_s + 0.007, outcome="degraded", scored=0)
            for number, one in enumerate(whole.samples)
        ),
    )
    point = loaded("open", half, share=1.0)
    assert len(whole_ms(point)) == 100
    assert full_figures(point)["full_p50_ms"] == pytest.approx(400, rel=0.05)
    assert kept_of(point) == Kept(100, 200)
    series = {name: one for name, one in point.series.items() if name != "full_latency_ms"}
    assert whole_ms(replace(point, series=series)) == pytest.approx(whole_ms(point))


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


def test_the_block_says_what_is_not_to_be_believed():
    """A dagger at the row and why; peak of memory; each scenario's own commit; reached rates."""
    result = made_result()
    made = block(result, "x.json")
    assert "†" not in made
    assert "commit abc" in made
    assert "Peak of resident memory: 381 MiB" in made  # 4e8 / 2^20
    assert "| 8.0 (0.80 x capacity) |" in made
    saturation = result.scenario("saturation")
    points = tuple(
        replace(one, faults=(f"sent {number} ms late",))
        if one.factors.get("share") in (0.8, 1.0)
        else one
        for number, one in enumerate(saturation.points, 1)
    )
    others = tuple(one for one in result.scenarios if one.name != "saturation")
    told = replace(saturation, points=points, commit="def")
    made = block(replace(result, scenarios=(told, *others)), "x.json")
    assert "| 8.0 (0.80 x capacity) † |" in made
    # The fifth is like the fourth, and told once; the load without a budget stands in no row.
    assert "† not to be believed: sent 4 ms late (2 points are like that)." in made
    assert "commits def (saturation), abc (start, memory)" in " ".join(made.split())
    html = page(replace(result, scenarios=(told, *others)))
    assert "commit def" in html
    assert html.count("share 0.8 †") >= 1


def test_a_block_needs_its_marks():
    """Both, in order."""
    assert put(f"a{BEGIN}old{END}b", f"{BEGIN}new{END}", Path("x")) == f"a{BEGIN}new{END}b"
    with pytest.raises(ConfigError, match="lacks the marks"):
        put("a", "new", Path("x"))
    whole = made_result()
    without = replace(whole, scenarios=tuple(one for one in whole.scenarios if one.name != "start"))
    with pytest.raises(ConfigError, match="lacks scenario start"):
        block(without, "x")
