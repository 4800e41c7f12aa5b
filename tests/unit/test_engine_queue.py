"""Turns, priorities, deadlines, cancelling, failures and the end of the engine."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import (
    Ended,
    Engine,
    Priority,
    load_bi_encoder,
    load_cross_encoder,
    parts,
    usable_cores,
)
from rerank_core.engine.cost import CostModel
from rerank_core.errors import ConfigError, DeadlineError, NotReadyError, ScoringError
from rerank_core.text import DEFAULT_RECIPE, TextEncoder
from tests.gated_path import Gate, eventually, gated
from tests.tiny_models import make_bi_encoder, make_cross_encoder

PRODUCTS = ["garden hose", "oak shelf", "steel bolt M8", "green hose 15 m", "led lamp", "chair"]


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return load_cross_encoder(open_artifact(make_cross_encoder(tmp_path_factory.mktemp("m") / "c")))


@pytest.fixture(scope="module")
def bi(tmp_path_factory):
    return load_bi_encoder(open_artifact(make_bi_encoder(tmp_path_factory.mktemp("m") / "b")))


@pytest.fixture(scope="module")
def expected(cross):
    with Engine(1) as engine:
        return dict(engine.submit(cross, "hose", PRODUCTS))


@pytest.fixture
def gate():
    """Opened after the test whatever happens, so that no worker stays behind."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def engine(gate):
    """One worker: what it does has an order."""
    engine = Engine(1)
    yield engine
    gate.open()
    engine.close()


def occupy(engine, cross, gate):
    """Keeps the worker inside a forward pass until the gate opens."""
    log: list[str] = []
    stream = engine.submit(gated(cross, "busy", log, gate), "q", ["a"])
    eventually(lambda: "busy" in log)
    return stream


def only(log, *names):
    return [entry for entry in log if entry in names]


def test_every_product_is_scored_once(engine, cross, expected):
    stream = engine.submit(cross, "hose", PRODUCTS)
    scored = list(stream)
    assert sorted(index for index, _ in scored) == list(range(len(PRODUCTS)))
    assert dict(scored) == pytest.approx(expected, abs=1e-5)
    assert stream.ended is Ended.DONE
    assert list(stream) == []


def test_no_products_and_no_texts_are_done_at_once(engine, cross, bi):
    stream = engine.submit(cross, "hose", [])
    assert list(stream) == []
    assert stream.ended is Ended.DONE
    assert engine.encode(bi, []).shape == (0, 32)


def test_texts_are_read_when_they_are_submitted(engine, cross, bi, gate, expected):
    """What the caller does to the list afterwards changes nothing."""
    busy = occupy(engine, cross, gate)
    products = list(PRODUCTS)
    stream = engine.submit(cross, "hose", products)
    products[0] = "another"
    products.pop()
    gate.open()
    assert dict(stream) == pytest.approx(expected, abs=1e-5)
    list(busy)


def test_a_passed_deadline_computes_nothing(engine, cross, bi):
    log: list[str] = []
    stream = engine.submit(gated(cross, "late", log), "hose", PRODUCTS, deadline=time.monotonic())
    assert list(stream) == []
    assert stream.ended is Ended.DEADLINE
    with pytest.raises(DeadlineError):
        engine.encode(gated(bi, "late", log), PRODUCTS, deadline=time.monotonic())
    engine.close()
    assert log == []


def test_a_consumer_never_waits_past_its_deadline(engine, cross, bi, gate):
    """However long the worker is busy with somebody else; the time went into the queue."""
    occupy(engine, cross, gate)
    log: list[str] = []
    deadline = time.monotonic() + 0.2
    stream = engine.submit(gated(cross, "late", log), "hose", PRODUCTS, deadline=deadline)
    assert list(stream) == []
    assert stream.ended is Ended.DEADLINE
    assert time.monotonic() >= deadline
    assert stream.times.queue_ms > 0
    assert stream.times.tokenize_ms == stream.times.score_ms == 0
    with pytest.raises(DeadlineError, match="were not encoded by the deadline"):
        engine.encode(gated(bi, "late", log), PRODUCTS, deadline=time.monotonic() + 0.05)
    assert not gate.opened
    gate.open()
    engine.close()
    assert log == []


def test_what_was_scored_by_the_deadline_is_kept(engine, cross, gate, expected):
    """The unit in work is the last; the others are never begun."""
    log: list[str] = []
    slow = gated(cross, "slow", log, gate)
    gate.admit(2)
    # The deadline is set below, when two scores are there.
    stream = engine.submit(slow, "hose", PRODUCTS, deadline=time.monotonic() + 1e9)
    iterator = iter(stream)
    scored = [next(iterator), next(iterator)]
    stream._deadline = time.monotonic() + 0.05
    scored += iterator
    assert dict(scored) == pytest.approx({index: expected[index] for index in (0, 1)}, abs=1e-5)
    assert stream.ended is Ended.DEADLINE
    gate.open()
    engine.close()
    assert only(log, "slow") == ["slow"] * 3
    assert min(stream.times.tokenize_ms, stream.times.score_ms) > 0


def test_a_unit_that_would_pass_the_deadline_is_not_begun(engine, cross):
    """By what units cost; the first is tried all the same, and what it gives is kept."""
    log: list[str] = []
    dear = replace(gated(cross, "dear", log), cost=CostModel((1e7, 0.0, 0.0)))
    stream = engine.submit(dear, "hose", PRODUCTS, deadline=time.monotonic() + 600)
    assert [index for index, _ in stream] == [0]
    assert stream.ended is Ended.DEADLINE
    assert only(log, "dear") == ["dear"]
    assert len(list(engine.submit(dear, "hose", PRODUCTS))) == len(PRODUCTS), "no deadline, no cost"


def test_giving_up_keeps_what_others_have_in_hand(cross, gate):
    """Two workers: one sees that its next unit comes too late while the other is in one."""
    log: list[str] = []
    dear = replace(gated(cross, "dear", log, gate), cost=CostModel((1e7, 0.0, 0.0)))
    with Engine(2) as two:
        stream = two.submit(dear, "hose", PRODUCTS, deadline=time.monotonic() + 600)
        eventually(lambda: log.count("dear") == 2)
        gate.admit(1)
        iterator = iter(stream)
        scored = [next(iterator)]
        gate.open()
        scored += iterator
    assert sorted(index for index, _ in scored) == [0, 1]
    assert stream.ended is Ended.DEADLINE


def test_units_that_were_computed_teach_what_they_cost(engine, cross):
    """The figures of a model move with the machine."""
    costly = replace(cross, cost=CostModel((1e7, 0.0, 0.0)))
    list(engine.submit(costly, "hose", PRODUCTS))
    assert costly.cost.load < 1
    assert cross.cost.unit_ms(np.array([9])) > 0


def test_cancelling_drops_the_units_that_have_not_begun(engine, cross, gate):
    log: list[str] = []
    stream = engine.submit(gated(cross, "slow", log, gate), "hose", PRODUCTS)
    gate.admit(2)
    iterator = iter(stream)
    next(iterator)
    next(iterator)
    stream.cancel()
    stream.cancel()
    assert list(iterator) == []
    assert stream.ended is Ended.CANCELLED
    gate.open()
    engine.close()
    assert len(only(log, "slow")) <= 3  # two, and the one in work


def test_leaving_the_loop_cancels(engine, cross, gate):
    """Nothing is computed for a consumer who went away."""
    log: list[str] = []
    stream = engine.submit(gated(cross, "slow", log, gate), "hose", PRODUCTS)
    gate.admit(1)
    for _ in stream:
        break
    assert stream.ended is Ended.CANCELLED
    gate.open()
    engine.close()
    assert len(only(log, "slow")) <= 2


def test_cancelling_before_a_worker_comes_computes_nothing(engine, cross, gate):
    busy = occupy(engine, cross, gate)
    log: list[str] = []
    engine.submit(gated(cross, "unwanted", log), "hose", PRODUCTS).cancel()
    gate.open()
    assert len(list(busy)) == 1
    engine.close()
    assert log == []


def test_interactive_work_goes_before_batch_work(engine, cross, gate):
    """Whatever came first; batch work goes on when nothing else waits."""
    occupy(engine, cross, gate)
    log: list[str] = []
    late = engine.submit(gated(cross, "batch", log), "hose", PRODUCTS[:3], priority=Priority.BATCH)
    soon = engine.submit(gated(cross, "search", log), "hose", PRODUCTS[:3])
    gate.open()
    assert (len(list(late)), len(list(soon))) == (3, 3)
    assert only(log, "batch", "search") == ["search"] * 3 + ["batch"] * 3


def test_interactive_work_overtakes_batch_work_at_its_next_unit(engine, cross, gate):
    log: list[str] = []
    batch = gated(cross, "batch", log, gate)
    late = engine.submit(batch, "hose", PRODUCTS, priority=Priority.BATCH)
    gate.admit(2)
    eventually(lambda: len(only(log, "batch")) == 3)  # the third waits at the gate
    soon = engine.submit(gated(cross, "search", log), "hose", PRODUCTS[:2])
    gate.open()
    assert (len(list(soon)), len(list(late))) == (2, 6)
    assert only(log, "batch", "search") == ["batch"] * 3 + ["search"] * 2 + ["batch"] * 3


def test_a_small_request_beside_a_huge_one_is_done_after_a_few_units(engine, cross, gate):
    log: list[str] = []
    huge = engine.submit(gated(cross, "huge", log, gate), "hose", ["oak shelf"] * 100)
    eventually(lambda: "huge" in log)
    small = engine.submit(gated(cross, "small", log), "hose", PRODUCTS[:2])
    gate.open()
    assert len(list(small)) == 2
    assert len(list(huge)) == 100
    order = only(log, "huge", "small")
    # One in work, then in turns: one while the small one is tokenised, one before each unit.
    assert order[:6].count("small") == 2


def test_the_first_texts_are_scored_before_the_last_are_read(engine, cross, gate):
    """In the order given, a part of 128 after the other; a deadline finds the first part scored."""
    log: list[str] = []
    stream = engine.submit(gated(cross, "huge", log, gate), "hose", ["oak"] * 300)
    gate.admit(130)
    iterator = iter(stream)
    first = [next(iterator)[0] for _ in range(130)]
    assert sorted(first) == list(range(130))
    assert log == ["huge tokens", *["huge"] * 128, "huge tokens", *["huge"] * len(log[130:])]
    gate.open()
    assert sorted(first + [index for index, _ in iterator]) == list(range(300))
    assert log.count("huge tokens") == 3


def test_the_top_is_scored_first_though_its_text_is_read_last(cross, gate):
    """Two workers read the parts of rows 0, 1 and of 2, 3; row 2 is in work when 0 and 1 are read.

    They come before 3. Else a deadline would leave the top of the list unscored below its middle.
    """
    log: list[str] = []

    class Late:
        """Reads the first part when the second is in work."""

        def pairing(self, query):
            pair = cross.text.pairing(query)

            def read(products):
                if "garden hose" in products:
                    eventually(lambda: "slow" in log)
                return pair(products)

            return read

    model = gated(cross, "slow", log, gate)
    model = replace(model, path=replace(model.path, first_rows=2, part_rows=2), text=Late())
    with Engine(2) as two:
        stream = iter(two.submit(model, "hose", PRODUCTS[:4]))
        eventually(lambda: log.count("slow") == 2)
        gate.admit(2)
        first = {next(stream)[0], next(stream)[0]}
        gate.open()
        assert first < {0, 1, 2}
        assert {index for index, _ in stream} == {0, 1, 2, 3} - first


@pytest.mark.parametrize(
    ("first_rows", "part_rows", "texts", "sizes"),
    [
        (4, 32, 100, [4, 8, 16, 32, 32, 8]),
        (16, 128, 100, [16, 32, 52]),
        (1024, 1024, 1500, [1024, 476]),
        (4, 32, 3, [3]),
        (4, 32, 0, []),
    ],
)
def test_parts_begin_small(cross, first_rows, part_rows, texts, sizes):
    """Each is twice the one before, up to the most, and they cover all texts in order."""
    path = replace(gated(cross, "any", []).path, first_rows=first_rows, part_rows=part_rows)
    found = parts(path, texts)
    assert [part.stop - part.start for part in found] == sizes
    assert [part.start for part in found] == [sum(sizes[:n]) for n in range(len(sizes))]


def test_tokenising_thousands_of_texts_lets_others_go_in_between(engine, cross, gate):
    occupy(engine, cross, gate)
    log: list[str] = []
    streams = [engine.submit(gated(cross, "huge", log), "hose", ["oak"] * 1280)]
    streams.append(engine.submit(gated(cross, "small", log), "hose", PRODUCTS[:2]))
    gate.open()
    assert [len(list(stream)) for stream in streams] == [1280, 2]
    assert log.count("huge tokens") == 10
    until_done = log[: len(log) - log[::-1].index("small")]
    assert until_done.count("huge tokens") == 1
    assert until_done.count("huge") <= 2


def test_products_may_be_fields_that_the_recipe_makes_text_of(engine, cross):
    """The same score as for the text that it makes, whichever of them come as text."""
    fields = {"title": "garden hose", "brand": ["Acme", "Co"], "unknown": "x"}
    text = cross.artifact.manifest.recipe.compose(fields)
    scores = dict(engine.submit(cross, "hose", [fields, text, "oak shelf"]))
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert scores[2] != pytest.approx(scores[0], abs=1e-3)


def explode(_outputs):
    raise RuntimeError("the kernel gave up")


def not_a_number(outputs):
    return outputs * np.nan


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (explode, "scoring failed: RuntimeError: the kernel gave up"),
        (not_a_number, "the model gave NaN or infinity"),
    ],
)
def test_scoring_that_raises_ends_its_own_request_alone(engine, cross, bi, expected, harm, told):
    log: list[str] = []
    poisoned = engine.submit(gated(cross, "poison", log, harm=harm), "hose", PRODUCTS)
    healthy = engine.submit(cross, "hose", PRODUCTS)
    with pytest.raises(ScoringError, match=told):
        list(poisoned)
    assert dict(healthy) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ScoringError, match=told):
        engine.encode(gated(bi, "poison", log, harm=harm), PRODUCTS)
    assert engine.encode(bi, PRODUCTS).shape == (6, 32)
    assert only(log, "poison") == ["poison"] * 2, "a request that failed goes no further"


def test_a_failure_keeps_its_cause(engine, cross):
    stream = engine.submit(gated(cross, "poison", [], harm=explode), "hose", PRODUCTS)
    with pytest.raises(ScoringError) as caught:
        list(stream)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_text_that_cannot_be_tokenised_ends_its_own_request_alone(engine, cross, expected):
    broken = engine.submit(cross, "hose", ["fine", None])
    healthy = engine.submit(cross, "hose", PRODUCTS)
    with pytest.raises(ScoringError, match="scoring failed: AttributeError"):
        list(broken)
    assert dict(healthy) == pytest.approx(expected, abs=1e-5)


def test_a_failure_after_the_end_changes_nothing(engine, cross, gate):
    """The first word stands: who cancelled hears of no error."""
    log: list[str] = []
    stream = engine.submit(gated(cross, "poison", log, gate, harm=explode), "hose", PRODUCTS)
    eventually(lambda: "poison" in log)
    stream.cancel()
    gate.open()
    engine.close()
    assert list(stream) == []
    assert stream.ended is Ended.CANCELLED


def test_a_panic_of_the_tokenizer_fails_its_request_alone(engine, cross, expected):
    """In `tokenizers` it is no `Exception`: here a pattern that backtracks without end."""
    tokenizer = json.loads((cross.artifact.folder / "tokenizer.json").read_text(encoding="utf-8"))
    pattern = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "a"}
    text = TextEncoder(json.dumps(tokenizer | {"normalizer": pattern}), DEFAULT_RECIPE)
    with pytest.raises(ScoringError, match="scoring failed: PanicException: Onig"):
        list(engine.submit(replace(cross, text=text), "hose", ["a" * 200 + "b"]))
    assert dict(engine.submit(cross, "hose", PRODUCTS)) == pytest.approx(expected, abs=1e-5)


def test_closing_ends_what_waits_and_finishes_the_unit_in_work(engine, cross, bi, gate):
    busy = occupy(engine, cross, gate)
    log: list[str] = []
    waiting = engine.submit(gated(cross, "waiting", log), "hose", PRODUCTS)
    failures: list[Exception] = []

    def encode():
        try:
            engine.encode(gated(bi, "waiting", log), PRODUCTS)
        except NotReadyError as error:
            failures.append(error)

    encoding = threading.Thread(target=encode)
    encoding.start()
    eventually(lambda: engine.waiting == 2)
    closing = threading.Thread(target=engine.close)
    closing.start()
    with pytest.raises(NotReadyError, match="the engine is stopping"):
        list(waiting)
    encoding.join(60)
    assert closing.is_alive(), "a unit is in work"
    gate.open()
    closing.join(60)
    assert not closing.is_alive()
    assert len(list(busy)) == 1
    assert busy.ended is Ended.DONE
    assert [type(error) for error in failures] == [NotReadyError]
    assert log == []


def test_closing_ends_a_request_between_its_units(engine, cross, gate):
    log: list[str] = []
    stream = engine.submit(gated(cross, "slow", log, gate), "hose", PRODUCTS)
    eventually(lambda: "slow" in log)
    closing = threading.Thread(target=engine.close)
    closing.start()
    with pytest.raises(NotReadyError):
        list(stream)
    gate.open()
    closing.join(60)
    assert only(log, "slow") == ["slow"]


def test_a_closed_engine_takes_no_work(engine, cross, bi):
    engine.close()
    engine.close()
    with pytest.raises(NotReadyError):
        engine.submit(cross, "hose", PRODUCTS)
    with pytest.raises(NotReadyError):
        engine.encode(bi, PRODUCTS)
    assert not [thread for thread in engine._threads if thread.is_alive()]


def test_waiting_counts_requests_not_yet_taken_up(engine, cross, gate):
    busy = occupy(engine, cross, gate)
    assert engine.waiting == 0
    streams = [engine.submit(cross, "hose", PRODUCTS) for _ in range(3)]
    assert engine.waiting == 3
    gate.open()
    for stream in (busy, *streams):
        list(stream)
    assert engine.waiting == 0


def test_vectors_come_in_the_order_of_the_texts(engine, bi):
    """Whatever lengths they have and in whatever units they were computed."""
    texts = [" ".join(["oak"] * (1 + 7 * index % 11)) + f" {index}" for index in range(40)]
    vectors = engine.encode(bi, texts)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    alone = np.concatenate([engine.encode(bi, [text]) for text in texts])
    assert np.abs(vectors - alone).max() < 1e-5


def test_two_models_are_served_side_by_side(engine, cross, expected, tmp_path):
    """A model comes with each call, so a swap stops nothing."""
    other = load_cross_encoder(open_artifact(make_cross_encoder(tmp_path / "other", seed=9)))
    streams = [engine.submit(model, "hose", PRODUCTS) for model in (cross, other, cross)]
    scores = [dict(stream) for stream in streams]
    assert scores[0] == pytest.approx(expected, abs=1e-5)
    assert scores[2] == pytest.approx(expected, abs=1e-5)
    assert scores[1] != pytest.approx(expected, abs=1e-2)


class Text(str):
    """A string whose life can be watched."""

    __slots__ = ("__weakref__",)


def test_a_request_that_ended_is_let_go(engine, cross, bi, gate):
    """Texts are not held once done, cancelled, failed or late."""
    texts = [Text(f"oak {number}") for number in range(5)]
    watched = [weakref.ref(text) for text in texts]
    list(engine.submit(cross, "hose", texts[:1]))
    engine.submit(cross, "hose", texts[1:2]).cancel()
    with pytest.raises(ScoringError):
        list(engine.submit(gated(cross, "poison", [], harm=explode), "hose", texts[2:3]))
    list(engine.submit(cross, "hose", texts[3:4], deadline=time.monotonic()))
    engine.encode(bi, texts[4:])
    # What comes next is taken up after all of these were let go.
    list(engine.submit(cross, "hose", PRODUCTS))
    del texts
    gc.collect()
    assert [text() for text in watched] == [None] * 5


@pytest.mark.parametrize("workers", [0, -1])
def test_an_engine_without_workers_is_refused(workers):
    with pytest.raises(ConfigError, match=f"workers: {workers}; the engine needs at least 1"):
        Engine(workers)


def test_a_worker_a_usable_core():
    with Engine() as engine:
        assert len(engine._threads) == usable_cores()


_NICE = """
import os, sys, threading
from rerank_core.engine import Engine
with Engine(2, niceness=5):
    workers = [one.native_id for one in threading.enumerate() if "engine" in one.name]
    while {os.getpriority(os.PRIO_PROCESS, one) for one in workers} != {int(sys.argv[1])}:
        pass
    print(len(workers), os.getpriority(os.PRIO_PROCESS, 0))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
@pytest.mark.parametrize(("own", "workers"), [(0, 5), (10, 15), (19, 19)])
def test_workers_are_nicer_than_their_process(own, workers):
    """By 5, and at 19 at most; a process that was started nice already may only become nicer."""
    words = ["nice", "-n", str(own), sys.executable, "-c", _NICE, str(workers)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["2", str(own)], "")
