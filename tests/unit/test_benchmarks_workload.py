"""Workloads: drawn alike each time, kept as files, replayed at any rate."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.workload.draw import Wish, draw
from benchmarks.workload.traffic import Traffic, Turn, read_traffic, write_traffic
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder
from rerank_proto.rerank.v1 import rerank_pb2 as pb


@pytest.fixture
def data(tmp_path):
    """A BEIR folder of six queries and thirty products; every third has a description."""
    folder = tmp_path / "shop"
    folder.mkdir()
    names = ("hammer", "saw", "drill", "lamp", "chair", "screw")
    products = [
        {
            "_id": f"p{number}",
            "title": f"{names[number % 6]} number {number}",
            "brand": "Made-up",
            "text": "a long description " * 30 if number % 3 == 0 else "short",
        }
        for number in range(30)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in products))
    queries = [{"_id": f"q{at}", "text": name} for at, name in enumerate(names)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    return BeirFolder(folder)


def wish(**changed):
    return Wish(**{"turns": 400, "questions": 6, "candidates": (5,)} | changed)


def test_equal_wishes_equal_files(data, tmp_path):
    """Byte by byte; another seed is another workload."""
    paths = [tmp_path / name for name in ("a.gz", "b.gz", "c.gz")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_traffic(draw(data, wish(seed=seed)), path)
    first, same, other = (path.read_bytes() for path in paths)
    assert first == same != other
    assert read_traffic(paths[0]) == draw(data, wish(seed=1))


def test_candidates_have_words_of_the_query_first(data):
    """Five products are hammers, and five are wanted."""
    traffic = draw(data, wish())
    for question in traffic.questions:
        assert all(question.query in traffic.texts[at] for at in question.texts)


def test_counts_take_turns(data):
    """Questions of 2, 7 and 20 candidates, none twice in a request."""
    traffic = draw(data, wish(candidates=(2, 7, 20)))
    assert [len(one.texts) for one in traffic.questions] == [2, 7, 20, 2, 7, 20]
    assert all(len(set(one.texts)) == len(one.texts) for one in traffic.questions)


def test_kinds_have_their_fields_and_true_lengths(data):
    """Nothing is cut; descriptions are only of products that have one."""
    titles, attributes, long = (
        draw(data, wish(kind=kind)) for kind in ("titles", "attributes", "descriptions")
    )
    assert not any("Made-up" in text for text in titles.texts)
    assert all("Made-up" in text for text in attributes.texts)
    assert min(len(text) for text in long.texts) > 400
    assert long.header.characters_a_text > attributes.header.characters_a_text


def test_a_zipf_head(data):
    """Exponent 1 over six: the first has 1 / (1 + 1/2 + ... + 1/6) = .41 of the turns."""
    traffic = draw(data, wish(turns=3000, zipf=1.0))
    counts = Counter(turn.question for turn in traffic.turns)
    assert counts[0] / 3000 == pytest.approx(0.408, abs=0.03)
    assert counts[5] / 3000 == pytest.approx(0.068, abs=0.02)
    assert traffic.header.repeated == pytest.approx(1 - 6 / 3000, abs=1e-4)


def test_priorities_travel_in_the_request(data):
    """A third batch: those bodies say so, and a question may be asked in both ways."""
    traffic = draw(data, wish(batch_share=1 / 3))
    bodies, order = traffic.bodies("grpc")
    priorities = [pb.RerankRequest.FromString(one).priority for one in bodies]
    asked = Counter(priorities[at] for at in order)
    assert asked[pb.PRIORITY_BATCH] / 400 == pytest.approx(1 / 3, abs=0.1)
    assert len(bodies) == 12
    for turn, at in zip(traffic.turns, order, strict=True):
        assert pb.RerankRequest.FromString(bodies[at]).query == traffic.questions[
            turn.question
        ].query  # fmt: skip


def test_a_burst_is_where_the_shape_says(data):
    """1, 1, 6, 1 over 400 mean gaps: six ninths of 400 turns in the third quarter, a ninth after.

    Each within five deviations (9.4 and 6.3); a slice of 0 is empty.
    """
    times = [turn.at for turn in draw(data, wish(shape=(1, 1, 6, 1))).turns]
    quarters = [sum(100 * n <= at < 100 * (n + 1) for at in times) for n in range(4)]
    assert sum(quarters) == 400
    assert abs(quarters[2] - 266.7) < 5 * 9.4
    assert abs(quarters[3] - 44.4) < 5 * 6.3
    assert min(turn.at for turn in draw(data, wish(shape=(0, 1))).turns) >= 200


def test_one_file_any_rate(data):
    """At twice the rate the same turns come in half of the time, and from the start at the end."""
    traffic = draw(data, wish(turns=100))
    slow, fast = traffic.arrivals_s(10, 5), traffic.arrivals_s(20, 2.5)
    assert [2 * at for at in fast] == pytest.approx(slow)
    long = traffic.arrivals_s(10, 25)
    assert len(long) > 200
    assert all(a < b for a, b in pairwise(long))
    assert long[100] == pytest.approx((100 + traffic.turns[0].at) / 10)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"format": 9}', "line 1"),
        ("no json", "line 1: not JSON"),
        ("[]", "line 1: not an object"),
    ],
)
def test_a_file_that_is_none_is_named_by_line(tmp_path, line, told):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(line.encode()))
    with pytest.raises(ConfigError, match=told):
        read_traffic(path)


def test_numbers_that_lead_nowhere_are_named(data, tmp_path):
    """A turn of a question that is not there."""
    drawn = draw(data, wish(turns=3))
    broken = Traffic(drawn.header, drawn.texts, drawn.questions, (Turn(1.0, 77),))
    path = tmp_path / "x.gz"
    write_traffic(broken, path)
    with pytest.raises(ConfigError, match="names number 77 of 6"):
        read_traffic(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "poems"}, "kind is 'poems'; it may be titles, attributes, descriptions"),
        ({"turns": 0}, "must be 1 or more"),
        ({"zipf": -1.0}, "zipf must be 0 or more"),
        ({"questions": 7}, "6 queries; 5 and 7 are wanted"),
        ({"candidates": (99,)}, "30 products"),
    ],
)
def test_wishes_that_cannot_be_are_named(data, changed, told):
    with pytest.raises(ConfigError, match=told):
        draw(data, wish(**changed))
