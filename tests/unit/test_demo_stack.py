"""The walk-through hands over what it was given, and says why a part does not come up."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from demo.stack import PROFILE, Models, build_index, running_sidecar, sidecar_config
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import SetupError
from sidecar.config import read_command_line

_NOWHERE = ClusterSettings("http://127.0.0.1:9")
_DEPLOYED = Path(__file__).parents[2] / "deploy" / "sidecar.toml"


def test_the_sidecar_reads_the_config_that_is_written_for_it(tmp_path):
    """Every value arrives as it was, quotes and backslashes too."""
    certificates = tmp_path / "ca.pem"
    certificates.write_text("")
    cluster = ClusterSettings(
        "https://search.example:9201", "shop", 'pass"word\\', certificates, timeout_s=2.5
    )
    models = Models(reranker=str(tmp_path / "ré ranker"), encoder="minilm")
    file = tmp_path / "sidecar.toml"
    file.write_text(
        sidecar_config("walkthrough-x", 40, cluster, models, tmp_path / "port"), encoding="utf-8"
    )

    settings = read_command_line(["--config", str(file)]).settings

    assert settings.cluster == cluster
    assert settings.models.reranker == str(tmp_path / "ré ranker")
    assert settings.models.encoders == ("minilm",)
    assert (settings.host, settings.port, settings.port_file) == ("127.0.0.1", 0, tmp_path / "port")
    assert settings.profiles[PROFILE].alias == "walkthrough-x"
    assert settings.profiles[PROFILE].depth == 40


def test_the_demo_searches_as_the_settings_to_begin_with_do(tmp_path):
    """Legs, depth of the rerank and blend are those of deploy/sidecar.toml, whatever they are."""
    file = tmp_path / "sidecar.toml"
    file.write_text(sidecar_config("a", 100, _NOWHERE, Models(), tmp_path / "port"))

    made = read_command_line(["--config", str(file)]).settings.profiles[PROFILE]
    [shown] = read_command_line(["--config", str(_DEPLOYED)]).settings.profiles.values()

    for name in ("legs", "rerank_depth", "blend"):
        assert getattr(made, name) == getattr(shown, name), name


def test_a_model_folder_is_right_from_every_working_directory(tmp_path, monkeypatch):
    """The sidecar does not run where the caller stands."""
    monkeypatch.chdir(tmp_path)
    config = sidecar_config("a", 40, _NOWHERE, Models("models/mine", "minilm"), tmp_path / "port")

    assert f'reranker = "{tmp_path}/models/mine"' in config


def test_a_sidecar_that_ends_is_an_error_with_its_last_words(tmp_path, monkeypatch):
    """Its exit code and its own message; its folder, which held settings, is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    models = Models(reranker=str(tmp_path / "no-such-model"))
    said = []

    with (
        pytest.raises(SetupError, match=r"(?s)exit code 2.*no-such-model"),
        running_sidecar("walkthrough-x", 40, _NOWHERE, models, said.append),
    ):
        pytest.fail("it cannot serve")
    assert said[0] == "starting the sidecar ..."
    assert not any("done" in line for line in said)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_index_build_is_an_error(tmp_path, capfd):
    """The builder's own message (here: no cluster) is on the terminal, ours says where to look."""
    with pytest.raises(SetupError, match="exit code 4; its reason stands above"):
        build_index(tmp_path / "none", "walkthrough-x", _NOWHERE, Models(), tmp_path / "rejects")
    assert "the cluster cannot be reached" in capfd.readouterr().err


def test_the_environment_does_not_change_the_sidecars_settings(tmp_path, monkeypatch):
    """RERANK_ variables are meant for another sidecar: the message is of the file's model."""
    monkeypatch.setenv("RERANK_MODELS__RERANKER", "of-the-environment")
    models = Models(reranker=str(tmp_path / "of-the-file"))

    with (
        pytest.raises(SetupError, match="of-the-file"),
        running_sidecar("walkthrough-x", 40, _NOWHERE, models, lambda _: None),
    ):
        pytest.fail("it cannot serve")


def test_the_demo_needs_no_torch():
    """Its environment has none: no program of it imports the heavy libraries."""
    heavy = {"torch", "transformers", "sentence_transformers", "datasets"}
    # The sidecar imports its server only when it serves.
    modules = ("demo.__main__", "index_builder.__main__", "sidecar.__main__", "sidecar.server")
    code = "; ".join(f"import {module}" for module in modules)

    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.split())
    assert {"tokenizers", "typer", "grpc"} <= loaded
    assert not loaded & heavy
