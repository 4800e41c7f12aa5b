"""Verdicts over paired rounds: planted slowdowns found, no wolf cried."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from benchmarks.guard.builds import reference_build
from benchmarks.guard.verdict import Round, judge
from rerank_core.errors import ConfigError


def rounds(count, ratio=1.0, noise=0.1, seed=1, process=0.0):
    """Moods that both builds share, noise that they do not, and what a process of theirs adds.

    Eight blocks, as far as there are rounds.
    """
    dice = random.Random(seed)
    made = []
    places = [dice.lognormvariate(0, process) for _ in range(8)]
    for number in range(count):
        block = number * 8 // max(count, 8)
        mood = 100 * dice.uniform(0.7, 2.0)

        def took(times, mood=mood):
            return mood * times * dice.lognormvariate(0, noise)

        own = ratio * places[block]
        made.append(Round((took(1), took(1)), (took(own), took(own)), block))
    return made


def test_a_ratio_by_hand():
    """110 + 130 by 100 + 100: a drift of the machine within the round falls on both."""
    assert Round((100.0, 100.0), (110.0, 130.0)).ratio == pytest.approx(1.2)


def test_a_quarter_slower_is_found_beside_moods():
    """Though the machine itself goes up and down by a factor of three."""
    verdict = judge(rounds(40, ratio=1.25), 0.05)
    assert verdict.word == "slower"
    assert verdict.median.low > 1.05
    assert verdict.median.ratio == pytest.approx(1.25, rel=0.05)
    assert verdict.mean.ratio == pytest.approx(1.25, rel=0.05)
    assert (verdict.rounds, verdict.blocks) == (40, 8)
    assert judge(rounds(40, ratio=0.7), 0.05).word == "faster"


def test_a_hundred_identical_runs_do_not_cry_wolf():
    """None of them is slower, though processes of one build differ by two in a hundred."""
    words = {judge(rounds(40, seed=seed, process=0.02), 0.05).word for seed in range(100)}
    assert "slower" not in words


def test_at_the_threshold_it_is_called_slower_once_in_two_hundred_runs_at_most():
    """Five per cent slower, threshold five per cent, processes differ: 2,000 runs, at most 10.

    Twenty are allowed, three standard deviations of such a count above it.
    """
    made = (rounds(16, ratio=1.05, seed=seed, noise=0.02, process=0.03) for seed in range(2000))
    assert sum(judge(one, 0.05).word == "slower" for one in made) <= 20


def test_the_interval_by_hand():
    """Blocks of ratio e^.1 and e^.3 in turns: mean .2, deviation .2 x sqrt(2 / 7) = .1069.

    Student's t at .9975 with seven degrees of freedom is 4.029; .1069 / sqrt(8) = .0378; so .152.
    """
    made = [
        Round((100.0, 100.0), (100 * math.exp(0.1 + 0.2 * (block % 2)),) * 2, block)
        for block in range(8)
    ]
    found = judge(made, 0.0)
    assert math.log(found.median.ratio) == pytest.approx(0.2)
    assert math.log(found.median.low) == pytest.approx(0.2 - 0.1523, abs=1e-3)
    assert math.log(found.mean.high) == pytest.approx(0.2 + 0.1523, abs=1e-3)


def test_many_rounds_of_one_process_are_one_observation():
    """Four hundred rounds of a single pair of processes decide nothing."""
    one = [replace(each, block=0) for each in rounds(400, ratio=2.0)]
    assert judge(one, 0.05).word == "undecided"


def test_one_request_in_ten_that_takes_three_times_as_long_is_seen():
    """The median of ratios stays at 1; summed times are 1.2, ten of each block's hundred.

    Of forty rounds it is not called no slower.
    """

    def spoiled(count):
        found = []
        for number, one in enumerate(rounds(count, noise=0.01)):
            first, second = one.this_ms
            found.append(
                replace(one, this_ms=(first * 3, second) if number % 5 == 0 else one.this_ms)
            )
        return found

    verdict = judge(spoiled(400), 0.05)
    assert verdict.median.ratio == pytest.approx(1.0, abs=0.01)
    assert verdict.mean.ratio == pytest.approx(1.2, abs=0.05)
    assert verdict.word == "slower"
    assert judge(spoiled(40), 0.05).word != "no slower"


def test_less_than_the_threshold_is_none_of_its_business():
    """Two per cent slower, known well, is no slower than five per cent."""
    assert judge(rounds(40, ratio=1.02, noise=0.01), 0.05).word == "no slower"


def test_few_rounds_are_undecided():
    """Seven of twice the time have no interval that deserves its name."""
    verdict = judge(rounds(7, ratio=2.0), 0.05)
    assert verdict.word == "undecided"
    assert judge([], 0.05).word == "undecided"


def test_what_is_no_build_is_named(tmp_path):
    """A folder without the sidecar, and a word that is neither folder nor revision."""
    with pytest.raises(ConfigError, match="holds no build; make one with uv pip install"):
        reference_build(str(tmp_path), tmp_path / "scratch")
    with pytest.raises(ConfigError, match="neither a folder nor a git revision"):
        reference_build("no-such-revision", tmp_path / "scratch")
