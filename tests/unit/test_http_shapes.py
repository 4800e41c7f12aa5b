"""What stock clients send, read before any limit of the server's own."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from sidecar.http.shapes import CohereRequest, JinaRequest, TeiRequest

KINDS = [(CohereRequest, "documents"), (JinaRequest, "documents"), (TeiRequest, "texts")]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_list_of_wrong_items_costs_one_items_errors(kind, name):
    """Of 50,000 wrong items the first ends it: errors are built on the event loop."""
    body = json.dumps({"query": "drill", name: [1] * 50_000})
    with pytest.raises(ValidationError) as caught:
        kind.model_validate_json(body)
    assert 1 <= caught.value.error_count() <= 2


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_list_is_not_read_for_ever(kind, name):
    """100,001 texts are refused by their number."""
    body = json.dumps({"query": "drill", name: ["a"] * 100_001})
    with pytest.raises(ValidationError, match="at most 100000 items"):
        kind.model_validate_json(body)
