"""The cost model: what a unit will take."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.engine.cost import CostModel, makespan_ms

LENGTHS = np.array([10, 20])
# 1 + 30 * 0.5 + (100 + 400) * 0.01
UNIT_MS = 21.0


@dataclass
class Machine:
    """Computes nothing, in a time that is known; its own clock goes with it."""

    constant: float = 1.0
    a_token: float = 0.5
    a_pair: float = 0.01
    now_ms: float = 0.0
    lengths: list[int] = field(default_factory=list)

    def forward(self, tokens):
        """Takes its time."""
        lengths = tokens.lengths
        self.lengths += lengths.tolist()
        squares = (lengths**2).sum()
        self.now_ms += self.constant + self.a_token * lengths.sum() + self.a_pair * squares

    def clock(self):
        """Seconds."""
        return self.now_ms / 1e3


def test_a_unit_by_hand():
    assert CostModel((1.0, 0.5, 0.01)).unit_ms(LENGTHS) == pytest.approx(UNIT_MS)


@pytest.mark.parametrize("terms", [(1, 0.5, 0.01), (0, 0.5, 0), (3, 0, 0.02), (0, 0, 1)])
def test_the_terms_of_a_machine_are_found(terms):
    """Also where some of them are nothing."""
    machine = Machine(*terms)
    found = CostModel.measured(machine, 512, machine.clock)
    assert found.terms == pytest.approx(terms, abs=1e-6)
    assert found.load == 1


def test_no_row_is_longer_than_the_model_reads():
    machine = Machine()
    CostModel.measured(machine, 48, machine.clock)
    assert max(machine.lengths) == 48


def test_who_knows_nothing_says_nothing():
    """And learns nothing: there is no line to move."""
    unknown = CostModel()
    unknown.observe(LENGTHS, 50.0)
    assert unknown.unit_ms(LENGTHS) == 0


def test_it_follows_the_load():
    """Where units take three times as long, so do its figures after a hundred of them."""
    cost = CostModel((1.0, 0.5, 0.01))
    for _ in range(100):
        cost.observe(LENGTHS, 3 * UNIT_MS)
    assert cost.unit_ms(LENGTHS) == pytest.approx(3 * UNIT_MS, rel=0.01)
    for _ in range(100):
        cost.observe(LENGTHS, UNIT_MS)
    assert cost.unit_ms(LENGTHS) == pytest.approx(UNIT_MS, rel=0.01)


def test_it_follows_the_mean_of_uneven_units():
    """Every fourth unit takes twice as long: a hundred of them take 125 units' time."""
    cost = CostModel((1.0, 0.5, 0.01))
    for number in range(400):
        cost.observe(LENGTHS, (2 if number % 4 == 0 else 1) * UNIT_MS)
    foretold = []
    for number in range(100):
        foretold.append(cost.unit_ms(LENGTHS))
        cost.observe(LENGTHS, (2 if number % 4 == 0 else 1) * UNIT_MS)
    assert sum(foretold) == pytest.approx(125 * UNIT_MS, rel=0.01)


def test_one_hold_up_moves_it_little():
    """A unit that took a thousand times as long counts as 2.5 times: a tenth of 1.5 is added."""
    cost = CostModel((1.0, 0.5, 0.01))
    cost.observe(LENGTHS, 1000 * UNIT_MS)
    assert cost.load == pytest.approx(1.15)


def test_makespan_by_hand():
    """Two workers: 3 | 1, 2 (done at 3), then 4 by whoever is first: 7."""
    assert makespan_ms([3, 1, 2, 4], 2) == 7
    assert makespan_ms([3, 1, 2, 4], 1) == 10
    assert makespan_ms([], 3) == 0


@given(st.lists(st.floats(0, 100), max_size=30), st.integers(1, 8))
def test_makespan_lies_between_its_bounds(units_ms, workers):
    """No less than an even share and the longest unit, no more than the share and one unit."""
    found = makespan_ms(units_ms, workers)
    share, longest = sum(units_ms) / workers, max(units_ms, default=0)
    assert max(share, longest) - 1e-6 <= found <= share + longest + 1e-6
