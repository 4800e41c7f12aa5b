"""Whatever was scored, the answer holds every candidate once, in the promised order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.ranking import Candidate, place

# Few different logits, so that ties are common.
LOGITS = st.lists(
    st.none() | st.sampled_from([-1.0, 0.0, 2.5]) | st.floats(allow_nan=False, width=32),
    max_size=60,
)


@given(LOGITS)
def test_an_answer_is_an_ordered_permutation(drawn):
    """Every candidate once; logits never rise; the rest keeps the first stage's order."""
    candidates = [
        Candidate(id=str(index), index=index, first_stage_rank=index + 1)
        for index in range(len(drawn))
    ]
    logits = {index: logit for index, logit in enumerate(drawn) if logit is not None}
    placed = place(candidates, logits, None)
    assert sorted(item.candidate.index for item in placed) == list(range(len(drawn)))
    assert [item.rank for item in placed] == list(range(1, len(drawn) + 1))
    keys = [
        (0, -item.score.logit, item.candidate.index)
        if item.score
        else (1, 0.0, item.candidate.index)
        for item in placed
    ]
    assert keys == sorted(keys)
