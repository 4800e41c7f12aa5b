"""Builds that are killed and taken up again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from index_builder.checkpoint import Checkpoint, CheckpointFile, Settled
from index_builder.sending import SendLimits
from rerank_core.errors import ConfigError
from tests.fault_proxy import Fault, FaultProxy, Request
from tests.index_builds import QUICK, MakeShop, Shop, indexes, products, write_jsonl

ROWS = 9000  # five chunks


def with_faults(count: int) -> list[dict[str, object]]:
    """Products, some of which are rejected when read, some by the cluster, some as duplicates."""
    rows: list[dict[str, object]] = [*products(count, texts=count)]
    for at in range(5, count, 900):
        rows[at]["price_cents"] = "cheap"
        rows[at + 1]["brand"] = "b" * 40_000
        rows[at + 2]["_id"] = "p0"
    return rows


def start(shop: Shop, url: str, *options: str) -> subprocess.Popen[str]:
    """The command, as a process that may be killed."""
    plan = shop.plan
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "index_builder", "rebuild", *plan.catalogue),
            *("--alias", plan.alias, "--encoder", plan.encoder, "--reranker", plan.reranker),
            *("--rejects", str(plan.rejects), "--checkpoint", str(plan.checkpoint)),
            *("--replicas", "0", "--min-recall", "0", "--json", *options),
        ],
        cwd=shop.file.parent,
        env={**os.environ, "OPENSEARCH_URL": url, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bulks_left(shop: Shop) -> int:
    """How many bulk requests a build that goes on has yet to make; at most."""
    if not shop.plan.checkpoint.exists():
        return ROWS // SendLimits.most_items
    with CheckpointFile(shop.plan.checkpoint) as file:
        assert file.state is not None
        return (ROWS - file.state.settled) // SendLimits.most_items


def kill_and_resume(shop: Shop, kills: int, chance: random.Random) -> list[int]:
    """Kills the build at so many random moments, then lets it end; rows it went on after.

    Moments are counted in bulk requests while there are enough of them, and then in requests of any
    kind: the builder's own go through the same proxy.
    """
    wanted = 0
    loading = True
    reached = threading.Event()
    made = 0

    def choose(request: Request, _: int) -> Fault | None:
        nonlocal made
        if loading and not request.is_bulk:
            return None
        made += 1
        if made <= wanted:
            return None
        reached.set()
        return Fault(delay_s=chance.random() / 10) if kills_left else None

    resumed: list[int] = []
    with FaultProxy(shop.settings.url, choose).running() as proxy:
        for kills_left in range(kills, -1, -1):
            made, wanted = 0, chance.randrange(12)
            loading = wanted < bulks_left(shop)
            if not loading:
                wanted *= 3  # as far as the gates, which ask some sixty times before the swap
            reached.clear()
            options = ["--resume"] if kills_left < kills else []
            process = start(shop, proxy.url, *options)
            if kills_left:
                assert reached.wait(120)
                process.send_signal(signal.SIGKILL)
                process.communicate()
                continue
            stdout, stderr = process.communicate(timeout=200)
            assert process.returncode == 0, stderr
            resumed.append(json.loads(stdout)["resumed_from"])
    return resumed


def check_killed_builds(make_shop: MakeShop, kills: int, seed: int) -> None:
    undisturbed = make_shop(with_faults(ROWS))
    undisturbed.build()
    shop = make_shop(with_faults(ROWS))

    kill_and_resume(shop, kills, random.Random(seed))

    assert shop.contents(vectors=True) == undisturbed.contents(vectors=True)
    rejects = [
        sorted(map(str, (json.loads(line) for line in one.plan.rejects.read_text().splitlines())))
        for one in (shop, undisturbed)
    ]
    assert rejects[0] == rejects[1]
    assert len(rejects[0]) == 3 * 10
    assert not shop.plan.checkpoint.exists()
    assert len(indexes(shop.client, shop.plan.alias)) == 1


def test_a_build_killed_three_times_gives_the_undisturbed_index(make_shop: MakeShop) -> None:
    """In documents, their vectors' numbers and rejects, in one index; the checkpoint is gone."""
    check_killed_builds(make_shop, kills=3, seed=7)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_build_killed_twenty_times_gives_the_undisturbed_index(make_shop: MakeShop) -> None:
    """The same for as long as a bad day."""
    check_killed_builds(make_shop, kills=20, seed=11)


class Stopped(Exception):
    """Stands for a kill that leaves this process alive."""


def stopped_build(shop: Shop, after: int) -> None:
    """A build that ends once so many requests went through."""

    def choose(request: Request, number: int) -> Fault | None:
        return Fault(status=403) if request.is_bulk and number >= after else None

    with (
        FaultProxy(shop.settings.url, choose).running() as proxy,
        pytest.raises(Exception, match="answers 403"),
    ):
        shop.build(replace(shop.settings, url=proxy.url), limits=replace(QUICK, most_in_flight=1))


def test_a_resumed_build_writes_only_what_is_not_settled(make_shop: MakeShop) -> None:
    """From the last acknowledged chunk on, into the same index, and it says so."""
    shop = make_shop(products(5000))
    stopped_build(shop, after=25)
    [index] = indexes(shop.client, shop.plan.alias)

    report = shop.build(resume=True)

    assert report.index == index
    assert report.resumed_from in (2048, 4096)
    assert report.documents == 5000
    assert f"going on after row {report.resumed_from:,}" in shop.said.getvalue()
    assert len(shop.contents()) == 5000


def test_another_input_or_plan_is_refused(make_shop: MakeShop) -> None:
    """The checkpoint is bound to the bytes of the input and to what makes a document of a row."""
    shop = make_shop(products(3000))
    stopped_build(shop, after=22)

    with pytest.raises(ConfigError, match="or options are not what they were"):
        shop.build(resume=True, duplicates="last")
    write_jsonl(shop.file, [*products(3000), {"_id": "new", "title": "one more"}])
    with pytest.raises(ConfigError, match=r"shop\.jsonl is not what it was when the build began"):
        shop.build(resume=True)

    assert not shop.client.indices.exists_alias(name=shop.plan.alias)


def test_a_build_that_is_not_resumed_clears_what_was_left(make_shop: MakeShop) -> None:
    """One unfinished index does not stay for each try."""
    shop = make_shop(products(3000))
    stopped_build(shop, after=22)
    [left] = indexes(shop.client, shop.plan.alias)

    report = shop.build()

    assert indexes(shop.client, shop.plan.alias) == [report.index]
    assert report.index != left
    assert f"an earlier build was not resumed: {left}" in shop.said.getvalue()


def test_there_must_be_something_to_resume(make_shop: MakeShop) -> None:
    """And standard input can never be."""
    shop = make_shop(products(3))

    with pytest.raises(ConfigError, match="no such file; leave --resume out to begin anew"):
        shop.build(resume=True)
    with pytest.raises(ConfigError, match="standard input cannot be read again"):
        shop.build(resume=True, catalogue=("-",))


def test_one_checkpoint_serves_one_process(tmp_path: Path) -> None:
    """The second is told; and once the first ends, it may have it."""
    with CheckpointFile(tmp_path / "c") as file:
        file.write(Checkpoint(1, "i", "o", "h", "p", settled=5))
        with pytest.raises(ConfigError, match="another process builds by it"):
            CheckpointFile(tmp_path / "c").__enter__()
    with CheckpointFile(tmp_path / "c") as again:
        assert again.state == Checkpoint(1, "i", "o", "h", "p", settled=5)


def test_chunks_that_settle_out_of_order_move_the_mark_when_it_is_safe() -> None:
    """10, 20, 30 begin; 20 and 30 settle first and nothing moves; then 10 moves it to 30."""
    marks: list[int] = []
    settled = Settled(marks.append)
    first, second, third = (settled.begin(number) for number in (10, 20, 30))

    second()
    third()
    assert marks == []
    first()
    assert marks == [30]
