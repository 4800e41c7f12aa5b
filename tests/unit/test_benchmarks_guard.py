"""Verdicts over paired rounds: planted slowdowns found, no wolf cried."""

from __future__ import annotations

import random

import pytest

from benchmarks.guard.builds import reference_build
from benchmarks.guard.verdict import Round, judge
from rerank_core.errors import ConfigError


def rounds(count, ratio=1.0, noise=0.1, seed=1):
    """Moods that both builds share, and noise that they do not."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        mood = 100 * dice.uniform(0.7, 2.0)

        def took(times, mood=mood):
            return mood * times * dice.lognormvariate(0, noise)

        made.append(Round((took(1), took(1)), (took(ratio), took(ratio))))
    return made


def test_a_ratio_by_hand():
    """110 + 130 by 100 + 100: a drift of the machine within the round falls on both."""
    assert Round((100.0, 100.0), (110.0, 130.0)).ratio == pytest.approx(1.2)


def test_a_quarter_slower_is_found_beside_moods():
    """Though the machine itself goes up and down by a factor of three."""
    verdict = judge(rounds(40, ratio=1.25), 0.05)
    assert verdict.word == "slower"
    assert verdict.low > 1.05
    assert verdict.ratio == pytest.approx(1.25, rel=0.05)
    assert judge(rounds(40, ratio=0.7), 0.05).word == "faster"


def test_a_hundred_identical_runs_do_not_cry_wolf():
    """None of them is slower."""
    words = {judge(rounds(40, seed=seed), 0.05).word for seed in range(100)}
    assert "slower" not in words


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
