"""One TOML file < environment < command line, checked as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerank_core.errors import ConfigError
from sidecar.config import model_name, read_command_line

FILE = """
port = 1
default_budget_ms = 80
page_token_key = "hush-key"

[models]
reranker = "from-file"
encoders = ["one", "two"]

[cluster]
url = "http://127.0.0.1:9200"
user = "shop"
password = "hush-password"

[profiles.shop]
alias = "products"
depth = 20
filters.brand = { field = "brand.keyword" }
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sidecar.toml"
    path.write_text(FILE)
    return str(path)


def _settings(*arguments):
    return read_command_line(arguments).settings


def _fault(*arguments):
    with pytest.raises(ConfigError) as caught:
        read_command_line(arguments)
    return str(caught.value)


def test_the_defaults_are_a_whole():
    """A server without a word of configuration: loopback, the shipped student."""
    settings = _settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 50051)
    assert settings.models.reranker == "student"
    assert settings.cluster is None


def test_environment_beats_file_and_flags_beat_both(file, monkeypatch):
    """Setting by setting, also within one table."""
    monkeypatch.setenv("RERANK_PORT", "2")
    monkeypatch.setenv("RERANK_DEFAULT_BUDGET_MS", "90")
    monkeypatch.setenv("RERANK_MODELS__ENCODERS", '["three"]')
    settings = _settings("--config", file, "--port", "3")
    assert settings.port == 3
    assert settings.default_budget_ms == 90
    assert settings.models.encoders == ("three",)
    assert settings.models.reranker == "from-file"


def test_lists_and_tables_by_flag():
    """Repeat a flag for a list; name a table's key after a dot."""
    settings = _settings(
        "--models.encoders", "a", "--models.encoders", "b", "--limits.max-documents", "7"
    )
    assert settings.models.encoders == ("a", "b")
    assert settings.limits.max_documents == 7


def test_a_file_brings_cluster_and_profiles(file):
    """As the types of the rooms that use them."""
    settings = _settings("--config", file)
    assert settings.cluster.password == "hush-password"  # noqa: S105  made up
    assert settings.profiles["shop"].filters["brand"].field == "brand.keyword"


def test_the_effective_settings_show_no_secret(file):
    """They are printed, and prints are kept."""
    shown = _settings("--config", file).model_dump_json()
    assert "hush" not in shown
    assert json.loads(shown)["cluster"]["password"] == "***"  # noqa: S105  made up
    assert "hush" not in repr(_settings("--config", file))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example.org"])  # noqa: S104
def test_an_address_that_others_reach_needs_insecure(host):
    """There is no TLS: who exposes it must say so."""
    fault = _fault("--host", host)
    assert host in fault
    assert "--insecure" in fault
    assert _settings("--host", host, "--insecure").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_nothing(host):
    """All of it."""
    assert _settings("--host", host).host == host


def test_all_faults_are_named_at_once(tmp_path, monkeypatch):
    """Wherever they come from."""
    path = tmp_path / "bad.toml"
    path.write_text("prot = 1\n[limits]\nmax_texts = 0\n")
    monkeypatch.setenv("RERANK_WORKERS", "many")
    fault = _fault("--config", str(path), "--default-budget-ms", "-1")
    for name in ("prot", "limits.max_texts", "workers", "default_budget_ms"):
        assert f"{name}:" in fault


PROFILES_AT_FAULT = """
[limits]
max_texts = 0
[cluster]
url = "ftp://x"
[profiles.deep]
alias = "a"
depth = 0
blend = 2
filters.brand = { field = "" }
[profiles.elsewhere]
alias = "a,b"
reranker = "other"
[profiles.mistyped]
alias = "a"
dept = 1
[profiles.unweighed]
alias = "a"
weights_file = "/no/such/weights.toml"
"""


def test_no_profiles_fault_hides_anothers(tmp_path):
    """Nor the cluster's or a limit's: all of the file is mended in one go."""
    path = tmp_path / "bad.toml"
    path.write_text(PROFILES_AT_FAULT)
    fault = _fault("--config", str(path))
    for said in (
        "limits.max_texts: ",
        "cluster: cluster url: 'ftp://x' is no address",
        "profiles.deep: profile of alias a: depth must be 1 to 1000, it is 0",
        "filters.brand: field is empty",
        "blend must be 0 to 1, it is 2",
        "profiles.elsewhere: profile of alias a,b: alias 'a,b': 1 to 200",
        "reranker is 'other', cross-encoders that are loaded: student",
        "profiles.mistyped.dept: ",
        "profiles.unweighed: profile of alias a: weights_file /no/such/weights.toml: No such file",
    ):
        assert said in fault, said


def test_settings_that_contradict_each_other_are_refused(tmp_path):
    """Each is fine alone."""
    assert "safety_margin_ms" in _fault("--default-budget-ms", "10")
    path = tmp_path / "profiles.toml"
    path.write_text('[profiles.shop]\nalias = "products"\n')
    assert "cluster.url" in _fault("--config", str(path))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"port = ", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b'[cluster]\nurl = "ftp://x"\n', "cluster url"),
        (b'[cluster]\nurl = "http://x:1"\nurll = "y"\n', "cluster.urll"),
        (b'[cluster]\nurl = "http://x:1"\n[profiles.shop]\nalias = ""\n', "alias"),
        (b'[cluster]\nurl = "http://x:1"\n[profiles.shop]\nalias = "a"\ndept = 1\n', "dept"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, word):
    """With what is wrong in it."""
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert word in _fault("--config", str(path))


def test_a_missing_file_is_an_error(tmp_path):
    """Not a server with other settings than those asked for."""
    path = tmp_path / "absent.toml"
    assert str(path) in _fault("--config", str(path))


def test_a_list_in_the_environment_must_be_json(monkeypatch):
    """The mend is in the message."""
    monkeypatch.setenv("RERANK_MODELS__ENCODERS", "a,b")
    assert "JSON" in _fault()


def test_a_variable_that_is_no_setting_is_named(monkeypatch):
    """A typing error would go unseen; it may be another program's, so it is no error.

    Variables of this project's other commands are known.
    """
    monkeypatch.setenv("RERANK_DATA", "/data")
    monkeypatch.setenv("RERANK_PROT", "1")
    monkeypatch.setenv("RERANK_PORT", "1")
    monkeypatch.setenv("RERANK_LIMITS__MAX_TEXTS", "1")
    ignored = read_command_line([]).ignored
    assert "RERANK_PROT" in ignored
    assert not {"RERANK_PORT", "RERANK_LIMITS__MAX_TEXTS", "RERANK_DATA"} & set(ignored)


@pytest.mark.parametrize("arguments", [["--prot", "1"], ["--por", "1"], ["stray"], ["--port"]])
def test_a_wrong_flag_ends_with_usage(arguments, capsys):
    """Exit code 2, as every command line does; no flag is guessed from its beginning."""
    with pytest.raises(SystemExit) as caught:
        read_command_line(arguments)
    assert caught.value.code == 2
    assert "usage: python -m sidecar" in capsys.readouterr().err


def test_the_numeric_path_is_checked_with_the_settings(monkeypatch):
    """It lies in the environment for every command that computes, and is no stray word there."""
    monkeypatch.setenv("RERANK_NUMERIC_PATH", "auto")
    assert "RERANK_NUMERIC_PATH" not in read_command_line(["--check-config"]).ignored
    monkeypatch.setenv("RERANK_NUMERIC_PATH", "fastest")
    assert "RERANK_NUMERIC_PATH is 'fastest'" in _fault("--check-config")


def test_a_profile_names_a_cross_encoder_that_is_loaded(file):
    """By its name, the default one or another; the fault says which there are."""
    with Path(file).open("a") as more:
        more.write('reranker = "v12"\n')
    for flag in ("--models.reranker", "--models.other-rerankers"):
        assert _settings("--config", file, flag, "/m/v12/").profiles["shop"].reranker == "v12"
    fault = _fault("--config", file, "--models.other-rerankers", "/m/v13")
    said = "profiles.shop: reranker is 'v12', cross-encoders that are loaded: from-file, v13"
    assert said in fault


def test_a_folder_is_named_by_its_last_part(tmp_path):
    """Also where it is a link to another: `current` stays `current` when it moves on."""
    (tmp_path / "v12").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "v12")
    for place, name in (
        (tmp_path / "current", "current"),
        ("m/../v1/", "v1"),
        ("minilm", "minilm"),
    ):
        assert model_name(str(place)) == name
