"""Many threads do anything to one engine; every call ends, and ends as it may."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import Ended, Engine, Priority, load_bi_encoder, load_cross_encoder
from rerank_core.errors import DeadlineError, NotReadyError, ScoringError
from tests.gated_path import eventually, gated
from tests.tiny_models import make_bi_encoder, make_cross_encoder

THREADS = 8
CALLS = 150
TEXTS = [" ".join(["oak shelf", "garden hose"][k % 2 :] * (1 + k % 9)) for k in range(40)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    cross = load_cross_encoder(open_artifact(make_cross_encoder(root / "cross")))
    return cross, load_bi_encoder(open_artifact(make_bi_encoder(root / "bi")))


@pytest.fixture(autouse=True)
def restless():
    """Python changes threads a hundred times as often as it does by itself."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(usual)


def explode(_outputs):
    raise RuntimeError("poison")


class Caller:
    """One thread's calls, their ends counted; what may not be is an assertion."""

    def __init__(self, engine, models, expected, seed, *, until_closed):
        self.engine = engine
        self.until_closed = until_closed
        self.cross, self.bi = models
        self.logits, self.vectors = expected
        self.random = random.Random(seed)
        self.ends: Counter[str] = Counter()
        self.wrong: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while self.ends.total() < CALLS or (self.until_closed and not self.ends["closed"]):
                kind = self.random.choice([self._scores, self._scores, self._encodes])
                self.ends[kind()] += 1
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.wrong.append(error)

    def _terms(self):
        wait_s = self.random.choice([None, None, 0.0, 0.002, 0.02])
        deadline = {} if wait_s is None else {"deadline": time.monotonic() + wait_s}
        return {"priority": self.random.choice(list(Priority)), **deadline}

    def _picks(self):
        return self.random.sample(range(len(TEXTS)), self.random.randrange(12))

    def _scores(self):
        picks, terms, poisoned = self._picks(), self._terms(), self.random.random() < 0.15
        model = gated(self.cross, "poison", [], harm=explode) if poisoned else self.cross
        leave_at = self.random.choice([None, None, 0, 1, 5])
        scored = {}
        try:
            stream = self.engine.submit(model, "hose", [TEXTS[at] for at in picks], **terms)
            if leave_at == 0:
                stream.cancel()
            for index, logit in stream:
                assert index not in scored
                assert logit == pytest.approx(self.logits[picks[index]], abs=1e-4)
                scored[index] = logit
                if len(scored) == leave_at:
                    break
        except ScoringError:
            assert poisoned
            return "failed"
        except NotReadyError:
            return "closed"
        assert stream.ended is not None
        assert min(stream.times.queue_ms, stream.times.tokenize_ms, stream.times.score_ms) >= 0
        if stream.ended is Ended.DONE:
            assert len(scored) == len(picks) or leave_at is not None
        if stream.ended is Ended.DEADLINE:
            assert "deadline" in terms
        if stream.ended is Ended.CANCELLED:
            assert leave_at is not None
        return stream.ended.value

    def _encodes(self):
        picks, terms = self._picks(), self._terms()
        try:
            vectors = self.engine.encode(self.bi, [TEXTS[at] for at in picks], **terms)
        except DeadlineError:
            assert "deadline" in terms
            return "late"
        except NotReadyError:
            return "closed"
        assert np.abs(vectors - self.vectors[picks]).max(initial=0) < 1e-4
        return "encoded"


@pytest.fixture(scope="module")
def expected(models):
    cross, bi = models
    with Engine(1) as engine:
        logits = dict(engine.submit(cross, "hose", TEXTS))
        return logits, engine.encode(bi, TEXTS)


def start(engine, models, expected, seed, *, until_closed=False):
    callers = [
        Caller(engine, models, expected, f"{seed}/{number}", until_closed=until_closed)
        for number in range(THREADS)
    ]
    for caller in callers:
        caller.thread.start()
    return callers


def join(callers):
    """All their ends together; fails where one of them hangs or saw what may not be."""
    ends: Counter[str] = Counter()
    for caller in callers:
        caller.thread.join(120)
        assert not caller.thread.is_alive(), "a call never ended"
        if caller.wrong:
            raise caller.wrong[0]
        ends += caller.ends
    return ends


@pytest.mark.parametrize("workers", [1, 3])
def test_every_call_ends_as_it_may(models, expected, workers):
    """Scores and vectors are right or absent, and nothing is left in the queue."""
    with Engine(workers) as engine:
        ends = join(start(engine, models, expected, seed=workers))
        eventually(lambda: engine.waiting == 0)
        assert all(thread.is_alive() for thread in engine._threads), "a worker died"
    assert ends.total() == THREADS * CALLS
    assert {"done", "cancelled", "deadline", "failed", "encoded", "late"} <= set(ends)
    assert ends["closed"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_closing_in_the_middle_ends_every_call(models, expected, seed):
    """Calls made before, during and after the end of the engine all come back."""
    engine = Engine(2)
    callers = start(engine, models, expected, seed, until_closed=True)
    eventually(lambda: sum(caller.ends.total() for caller in callers) >= 10 * seed)
    engine.close()
    ends = join(callers)
    assert ends.total() >= THREADS * CALLS
    assert all(caller.ends["closed"] for caller in callers)
    assert engine.waiting == 0
    assert not any(thread.is_alive() for thread in engine._threads)


def test_cancelling_from_other_threads_at_any_moment(models, expected):
    """A stream cancelled while it is read and while it is computed still ends once, cleanly."""
    cross, _ = models
    logits, _ = expected
    with Engine(3) as engine:
        for round_ in range(60):
            stream = engine.submit(cross, "hose", TEXTS)
            pause_s = (round_ % 12) / 4000
            cancelling = threading.Thread(target=lambda: (time.sleep(pause_s), stream.cancel()))  # noqa: B023  joined below
            cancelling.start()
            scored = list(stream)
            cancelling.join()
            assert len(scored) == len(dict(scored))
            assert dict(scored) == pytest.approx({at: logits[at] for at, _ in scored}, abs=1e-4)
            assert stream.ended in (Ended.DONE, Ended.CANCELLED)
            assert (stream.ended is Ended.CANCELLED) or len(scored) == len(TEXTS)
