"""What the garbage collector goes through once models are loaded."""

from __future__ import annotations

import gc
import weakref

import pytest

from sidecar.heap import settle_heap


@pytest.fixture(autouse=True)
def usual_collector():
    """The tests behind these have theirs."""
    usual = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*usual)


class _Model:
    """With a cycle through itself, as a loaded one may have."""

    def __init__(self):
        self.me = self


def test_what_stays_is_looked_at_no_more_and_a_dropped_model_goes():
    """Frozen at the first load; what it left in a cycle is collected at the second."""
    model = _Model()
    settle_heap()
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] == 2000
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is not None, "it was frozen, so a pass leaves it"
    settle_heap()
    assert gone() is None
