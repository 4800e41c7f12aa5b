"""Promises of `ClusterSettings` and of the clients made from it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from rerank_core.cluster.connection import connect, connect_async
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError


def test_environment_is_read_whole(tmp_path):
    """URL, user, password and CA come from the variables of that name."""
    ca = tmp_path / "ca.pem"
    ca.touch()
    settings = ClusterSettings.from_environment(
        {
            "OPENSEARCH_URL": "https://search.example:9443",
            "OPENSEARCH_USER": "shop",
            "OPENSEARCH_PASSWORD": "geheim",
            "OPENSEARCH_CA": str(ca),
        },
    )
    assert settings == ClusterSettings("https://search.example:9443", "shop", "geheim", ca)


@pytest.mark.parametrize("environ", [{}, {"OPENSEARCH_URL": ""}])
def test_a_cluster_is_never_guessed(environ):
    """Without an address there is an error that names the variable."""
    with pytest.raises(ConfigError, match="OPENSEARCH_URL is not set"):
        ClusterSettings.from_environment(environ)


def test_empty_variables_are_unset():
    """CI systems set what they have no value for to the empty string."""
    settings = ClusterSettings.from_environment(
        {
            "OPENSEARCH_URL": "http://h:1",
            "OPENSEARCH_USER": "",
            "OPENSEARCH_PASSWORD": "",
            "OPENSEARCH_CA": "",
        },
    )
    assert settings == ClusterSettings("http://h:1")


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ("url", {"url": "search:9200"}),
        ("url", {"url": "ftp://search"}),
        ("url", {"url": "http://"}),
        ("url", {"url": "http://h:0"}),
        ("url", {"url": "http://h:70000"}),
        ("url", {"url": "http://[::1"}),
        ("url", {"url": "http://h/?a=1"}),
        ("url", {"url": "http://my host:9200"}),
        ("url", {"url": "http://h\n:9200"}),
        ("url", {"url": "http://u:geheim@h"}),
        ("url", {"url": "u:geheim@127.0.0.1:9200"}),
        ("url", {"url": "http://u:12#geheim@h"}),
        ("url", {"url": "http://u:1?geheim@h:9200"}),
        ("url", {"url": "http://u:9/geheim@h:9200"}),
        ("password", {"user": "shop"}),
        ("password", {"password": "geheim"}),
        ("user", {"user": "a:b", "password": "geheim"}),
        ("user", {"user": "", "password": "geheim"}),
        ("ca_path", {"ca_path": Path("/")}),
        ("ca_path", {"url": "https://h", "ca_path": Path("no-such-file")}),
        ("ca_path", {"url": "https://h", "ca_path": Path("/")}),
        ("timeout_s", {"timeout_s": 0.0}),
        ("timeout_s", {"timeout_s": -1.0}),
        ("timeout_s", {"timeout_s": float("inf")}),
        ("timeout_s", {"timeout_s": float("nan")}),
    ],
)
def test_a_wrong_setting_is_named_and_no_password_shown(setting, change):
    """Each setting that cannot work is refused by its name, without the secret."""
    with pytest.raises(ConfigError) as caught:
        ClusterSettings(**{"url": "http://h:9200"} | change)
    assert setting in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_the_password_is_in_no_repr():
    """Neither the settings nor a client print it."""
    settings = ClusterSettings("http://h:9200", "shop", "geheim")
    with connect(settings) as client:
        shown = repr(settings) + repr(client) + repr(client.transport.hosts)
    assert "geheim" not in shown
    assert base64.b64encode(b"shop:geheim").decode() not in shown


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://search", "http://search:9200"),
        ("https://search", "https://search:443"),
        ("http://search:19200/", "http://search:19200"),
        ("http://[::1]:9201", "http://[::1]:9201"),
    ],
)
async def test_both_clients_go_where_the_url_says(url, host):
    """Ports that are not given are 9200 for http and 443 for https."""
    settings = ClusterSettings(url)
    with connect(settings) as client:
        assert client.transport.connection_pool.connections[0].host == host
    async with connect_async(settings) as async_client:
        await async_client.transport._async_call()
        assert async_client.transport.connection_pool.connections[0].host == host
