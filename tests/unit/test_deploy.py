"""The files of deploy/ by the ecosystem's own linters, and by what the server really offers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rerank_core.engine import Engine
from sidecar.config import Settings, read_command_line
from sidecar.live import Live, Standing
from sidecar.server import stand_on
from sidecar.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)


def _lint(*command):
    ended = subprocess.run(
        [TOOLS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_dockerfile_is_clean():
    """By hadolint; what it would have pinned by Debian's versions is said in the file."""
    _lint("hadolint", "deploy/Dockerfile")


def test_the_image_has_no_torch_and_no_root():
    """The extras of serving alone, and a user by number that Kubernetes can check."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert "[serve,traces]" in text
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert text.count("\nFROM ") == 2


def test_compose_is_compose():
    """By the schema of its specification."""
    _lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_kubernetes(path):
    """By the API's own schemas, unknown fields included."""
    _lint("kubernetes-validate", "--strict", str(path))


def test_the_kustomization_names_every_manifest():
    """A file that nobody applies is a lie."""
    named = YAML(typ="safe").load(DEPLOY / "kubernetes" / "kustomization.yaml")["resources"]
    assert sorted(named) == [path.name for path in MANIFESTS]


@pytest.mark.parametrize("source", ["file", "configmap"])
def test_the_settings_are_settings(source, tmp_path, monkeypatch):
    """Both the file to begin with and the one in the config map."""
    monkeypatch.delenv("RERANK_DATA", raising=False)  # the tests' own, no setting of the sidecar
    path = DEPLOY / "sidecar.toml"
    if source == "configmap":
        (settings, _) = YAML(typ="safe").load_all(DEPLOY / "kubernetes" / "settings.yaml")
        path = tmp_path / "sidecar.toml"
        path.write_text(settings["data"]["sidecar.toml"])
    assert read_command_line(["--config", str(path)]).ignored == ()


def test_dashboard_and_alerts_ask_for_metrics_that_there_are():
    """Every name in a query is one that the server tells."""
    with Engine(workers=1) as engine:
        metrics = Metrics()
        metrics.watch(stand_on(Live(Standing.read(Settings())), engine).scorer, lambda: 0)
        told = metrics.page().decode()
    names = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    suffixes = ("_total", "_bucket", "_sum", "_count")
    dashboard = json.loads((DEPLOY / "grafana" / "rerank-sidecar.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = YAML(typ="safe").load(DEPLOY / "prometheus-rules.yaml")
    queries += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    scaling = YAML(typ="safe").load_all(DEPLOY / "kubernetes" / "scaling.yaml")
    queries += [item["pods"]["metric"]["name"] for item in next(iter(scaling))["spec"]["metrics"]]
    asked = {name for query in queries for name in re.findall(r"\b(?:rerank|process)_\w+", query)}
    assert len(asked) > 12
    for name in asked:
        bare = next((name.removesuffix(end) for end in suffixes if name.endswith(end)), name)
        assert {name, bare} & names, name
