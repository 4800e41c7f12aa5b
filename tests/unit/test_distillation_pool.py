"""Mining: who is shut out, and who is drawn."""

import numpy as np

from distillation.pool.drawing import draw, generator
from distillation.pool.neighbours import nearest
from distillation.pool.shutting import shut_out


def test_a_judged_query_and_what_is_nearly_it_are_shut_out():
    """The same words in another order, one letter more; not one that shares a word."""
    queries = [
        "Drill  Cordless makita", "cordless makita drills", "makita circular saw", "drill",
        "cordless makita drill",
    ]  # fmt: skip
    assert shut_out(queries, ["cordless makita drill"]) == {
        0: "cordless makita drill",
        1: "cordless makita drill",
        4: "cordless makita drill",
    }


def test_likeness_is_the_jaccard_index_of_trigrams():
    """Framed by blanks, abcd has 4 trigrams, and abce shares 2 of the 6 in all."""
    assert shut_out(["abcd"], ["abce"], likeness=2 / 6) == {0: "abce"}
    assert shut_out(["abcd"], ["abce"], likeness=0.34) == {}


def test_trigrams_that_no_judged_query_has_count_against_likeness():
    """A long query that holds a judged one whole is another query."""
    assert shut_out(["lamp shade for a floor in antique brass"], ["lamp shade"]) == {}


def test_nothing_is_shut_out_of_nothing():
    """No judged queries, or none to look at."""
    assert shut_out([], ["a"]) == {}
    assert shut_out(["a"], []) == {}


def test_what_a_short_ranking_lacks_stays_away():
    """Two rankings over one product give that product once, and strangers fill their own share."""
    texts = ["a", "b", "b", ""]
    chosen = draw({"bm25": [0], "neighbour": [0]}, {"bm25": 2, "neighbour": 2, "random": 3}, texts,
                  generator(1, "q"))  # fmt: skip
    assert chosen[0] == (0, "bm25")
    assert sorted(texts[place] for place, _ in chosen) == ["a", "b"]


def test_early_ranks_are_drawn_more_often():
    """Rank 0 of 40 is in a draw of 5 most of the time, rank 39 seldom; each at least once."""
    texts = [str(number) for number in range(40)]
    counts = np.zeros(40)
    for number in range(500):
        for place, _ in draw({"bm25": range(40)}, {"bm25": 5}, texts, generator(1, str(number))):
            counts[place] += 1
    assert counts.sum() == 2500
    assert counts[0] > 300
    assert 0 < counts[39] < counts[0] / 4


def test_nearest_are_sorted_by_cosine_and_no_deeper_than_there_are():
    """Three unit vectors by hand."""
    products = np.array([[0, 1], [1, 0], [0.6, 0.8]], np.float32)
    queries = np.array([[1, 0]], np.float32)
    assert list(nearest(queries, products, 2)) == [[1, 2]]
    assert list(nearest(queries, products, 9)) == [[1, 2, 0]]
