"""Lists, their schedule and their tensors: nothing is lost, mixed up or read twice."""

import numpy as np
import pytest

from distillation.anchor import anchor_lists
from distillation.batches import Pick, assemble, plan_epoch
from distillation.lists import TokenList, check_judged, graded_lists, halves
from rerank_core.errors import InputError
from rerank_core.measures import Scale
from rerank_core.text import PackedTokens, ProductTextRecipe

RECIPE = ProductTextRecipe(fields=("title", "brand"))
QUERIES = {"q1": "claw hammer", "q2": "saw"}
PRODUCTS = {
    "p1": {"title": "Hammer", "brand": "Acme"},
    "p2": {"title": "Nail", "brand": None},
    "p3": {"title": "Saw"},
}


def _list(*lengths):
    """Rows of the given lengths; row r holds r in every place."""
    rows = [[number] * length for number, length in enumerate(lengths)]
    return TokenList(PackedTokens.pack(rows), np.arange(len(lengths), dtype=np.float32) / 10)


def test_targets_are_shares_of_the_scale_beside_the_composed_text():
    """2.5 of 1..3 is .75; the text is what the recipe composes, missing fields left out."""
    judged = {"q1": {"p1": 2.5, "p2": 1.0}}
    (only,) = graded_lists(QUERIES, PRODUCTS, judged, RECIPE, Scale(1, 3))
    assert only.query == "claw hammer"
    assert only.texts == ["Hammer Acme", "Nail"]
    assert only.targets.tolist() == [0.75, 0.0]


@pytest.mark.parametrize(
    ("judged", "named"),
    [
        ({}, "there are none in this split"),
        ({"q9": {"p1": 2.0}}, r"query q9: is judged but has no text"),
        ({"q1": {}}, "query q1: has no judged products"),
        ({"q1": {"p1": 2.0, "p9": 2.0}}, "query q1: product 'p9' is not in the corpus"),
        ({"q1": {"p1": 3.5}}, r"query q1, product p1: 3\.5 is off the scale 1\.\.3"),
    ],
)
def test_judgments_that_do_not_fit_the_data_are_named(judged, named):
    """No query is dropped in silence."""
    with pytest.raises(InputError, match=named):
        graded_lists(QUERIES, PRODUCTS, judged, RECIPE, Scale(1, 3))


def test_halves_part_queries_by_their_text():
    """Every query is in one half; the same text is in the same half under any id.

    sha256("a") begins with byte ca and sha256("b") with 3e, both even; sha256("e") with 3f, odd.
    """
    queries = {"1": "a", "2": "b", "3": "e", "4": "e"}
    judged = {name: {"p1": 1.0} for name in queries}
    check_judged(queries, PRODUCTS, judged)
    select, report = halves(queries, judged)
    assert (list(select), list(report)) == (["1", "2"], ["3", "4"])


def test_an_epoch_shows_every_list_once_and_no_step_is_too_large():
    """40 lists of 1 to 7 rows, steps of at most 10 pairs."""
    lists = [_list(*range(3, 4 + number % 7)) for number in range(40)]
    steps = plan_epoch(lists, pairs_a_step=10, list_products=16, random=np.random.default_rng(0))
    numbers = sorted(pick.number for step in steps for pick in step)
    assert numbers == list(range(40))
    for step in steps:
        assert sum(len(pick.rows) for pick in step) <= 10
        for pick in step:
            assert pick.rows.tolist() == list(range(len(lists[pick.number].tokens)))


def test_a_long_list_shows_another_part_in_each_epoch():
    """Of 30 rows 8 take part, none twice, and not the same ones again."""
    random = np.random.default_rng(1)
    drawn = [
        plan_epoch([_list(*[5] * 30)], pairs_a_step=4, list_products=8, random=random)[0][0].rows
        for _ in range(2)
    ]
    assert all(len(set(rows.tolist())) == 8 for rows in drawn)
    assert drawn[0].tolist() != drawn[1].tolist()


def test_the_seed_decides_the_schedule():
    """The same seed plans the same steps, another one others."""
    lists = [_list(*[3] * 4) for _ in range(20)]

    def plan(seed):
        random = np.random.default_rng(seed)
        steps = plan_epoch(lists, pairs_a_step=8, list_products=3, random=random)
        return [[(pick.number, pick.rows.tolist()) for pick in step] for step in steps]

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


def test_a_step_is_padded_and_masked_and_knows_its_lists():
    """Rows of 2 and 1 tokens of one list, a row of 3 of another."""
    lists = [_list(4, 2, 1), _list(3)]
    batch = assemble(lists, [Pick(0, np.array([1, 2])), Pick(1, np.array([0]))])
    assert batch.ids.tolist() == [[1, 1, 0], [2, 0, 0], [0, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert batch.lists.tolist() == [0, 0, 1]
    assert batch.targets.tolist() == pytest.approx([0.1, 0.2, 0.0])


def test_anchor_targets_are_scaled_cosines_of_products_of_the_catalogue():
    """Product i of 50 has cosine cos(i / 40) with the only query.

    Whatever ranks are drawn, each text comes with its own product's cosine, best first.
    """
    angles = np.arange(50, dtype=np.float32) / 40
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    products = [{"title": f"t{number}", "brand": "b"} for number in range(50)]
    query = np.array([[1.0, 0.0]], np.float32)
    for seed in range(5):
        (only,) = anchor_lists(
            ["q"],
            products,
            (query, vectors),
            recipe=RECIPE,
            list_products=6,
            scale=10.0,
            random=np.random.default_rng(seed),
        )
        numbers = [int(text.split()[0][1:]) for text in only.texts]
        assert len(set(numbers)) == 6
        assert numbers == sorted(numbers)
        assert only.targets == pytest.approx(10 * np.cos(np.array(numbers) / 40), abs=1e-5)


def test_anchor_lists_need_enough_products():
    """Three products cannot fill lists of four."""
    with pytest.raises(InputError, match="3 products are too few for lists of 4"):
        anchor_lists(
            ["q"],
            [{"title": "t"}] * 3,
            (np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)),
            recipe=RECIPE,
            list_products=4,
            scale=1.0,
            random=np.random.default_rng(0),
        )
