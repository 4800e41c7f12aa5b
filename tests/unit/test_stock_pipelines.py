"""What the cluster is told, before any cluster hears it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from index_builder.pipelines import StockRerank
from rerank_core.errors import ConfigError

STOCK = StockRerank("rerank", "http://127.0.0.1:8080", key="rsk_secret")


def test_equal_ones_are_one_thing_and_any_change_is_another():
    """The name of connector and model says so, the key's change too."""
    assert replace(STOCK).versioned_name == STOCK.versioned_name
    changed = [
        replace(STOCK, sidecar="http://127.0.0.1:8081"),
        replace(STOCK, model="student"),
        replace(STOCK, read_timeout_s=2),
        replace(STOCK, key="rsk_other"),
        replace(STOCK, key=""),
    ]
    names = {stock.versioned_name for stock in [STOCK, *changed]}
    assert len(names) == 6
    assert all(re.fullmatch(r"rerank@[0-9a-f]{12}", name) for name in names)


def test_what_the_pipeline_alone_decides_keeps_connector_and_model():
    """Another field or fusion is one PUT."""
    other = replace(STOCK, text_field="body", fusion="rrf")
    assert other.versioned_name == STOCK.versioned_name
    assert other.pipeline("m") != STOCK.pipeline("m")


def test_the_key_is_in_the_credential_and_nowhere_else():
    """Neither in what is printed nor in what anybody may read on the cluster."""
    body = STOCK.connector()
    assert body.pop("credential") == {"key": "rsk_secret"}
    for shown in (repr(STOCK), json.dumps(body), STOCK.versioned_name):
        assert "rsk_secret" not in shown
    headers = body["actions"][0]["headers"]
    assert headers["Authorization"] == "Bearer ${credential.key}"
    assert "Authorization" not in replace(STOCK, key="").connector()["actions"][0]["headers"]


def test_the_sidecar_answers_before_the_cluster_stops_waiting():
    """It is told a budget that leaves time for the way back."""
    body = replace(STOCK, read_timeout_s=2).connector()
    budget_ms = int(body["actions"][0]["headers"]["x-envoy-expected-rq-timeout-ms"])
    assert 0 < budget_ms < 1000 * body["client_config"]["read_timeout"]


def test_one_sidecar_is_trusted_and_no_other_host():
    """Dots are dots: ``1270x0x0x1`` is somebody else."""
    assert re.fullmatch(STOCK.trusted, STOCK.url)
    for other in ("http://127.0.0.1:80800/v2/rerank", "http://1270x0.0.1:8080/v2/rerank"):
        assert not re.fullmatch(STOCK.trusted, other)


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://10.0.0.5:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080", True),
        ("http://8.8.8.8:8080", False),
        ("https://sidecar.example", False),
    ],
)
def test_private_addresses_are_known_where_they_are_written(address, private):
    """Where a name leads only the cluster's nodes know."""
    assert replace(STOCK, sidecar=address).at_private_address is private


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "Rerank"}, "a name is"),
        ({"name": "a@b"}, "a name is"),
        ({"name": ""}, "a name is"),
        ({"sidecar": "sidecar:8080"}, "write http://host:port"),
        ({"sidecar": "grpc://sidecar:8080"}, "write http://host:port"),
        ({"sidecar": "http://sidecar?x=1"}, "write http://host:port"),
        ({"read_timeout_s": 0}, "whole seconds"),
    ],
)
def test_what_cannot_be_one_is_refused(changes, problem):
    """Before anything is asked of the cluster."""
    with pytest.raises(ConfigError, match=problem):
        replace(STOCK, **changes)
