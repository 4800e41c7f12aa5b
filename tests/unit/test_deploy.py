"""The files of deploy/ by the ecosystem's own linters, and by what the server really offers."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from base64 import b64decode
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from benchmarks.fusion.result import read_fusion
from rerank_core.cluster.profile import Profile
from rerank_core.engine import Engine
from sidecar.config import Settings, read_command_line
from sidecar.live import Live, Standing
from sidecar.security.keys import new_key, read_keys
from sidecar.server import stand_on
from sidecar.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)
CRONJOB = DEPLOY / "index-builder.cronjob.yaml"


def _lint(*command):
    ended = subprocess.run(
        [TOOLS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_dockerfile_is_clean():
    """By hadolint; what it would have pinned by Debian's versions is said in the file."""
    _lint("hadolint", "deploy/Dockerfile")


def test_the_images_have_no_torch_and_no_root():
    """The extras of what each runs alone, and a user by number that Kubernetes can check."""
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"'\.\[([\w,]+)\]'", text) == ["index", "serve,traces"]
    assert re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)[-3:] == [
        ("python:3.12-slim-bookworm", "base"),
        ("base", "index-builder"),
        ("base", "sidecar"),
    ]
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize(
    ("image", "package"),
    [("rerank-index-builder", "index_builder"), ("rerank-sidecar", "sidecar")],
)
def test_an_image_can_start_what_the_manifests_run_by_it(image, package):
    """Its extras bring every package that the program's modules import, lazily too."""
    of_image = {"rerank-index-builder": [CRONJOB], "rerank-sidecar": MANIFESTS}
    texts = [path.read_text() for path in of_image[image]]
    images = [found for text in texts for found in re.findall(r"image: (\S+)", text)]
    assert images == [f"{image}:{version('rerank-sidecar')}"]
    commands = {found for text in texts for found in re.findall(r"python -m (\w+)", text)}
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    target = image.removeprefix("rerank-")
    stage = dockerfile.split(f" AS {target}\n")[1]
    entry = re.search(r'^ENTRYPOINT \["python", "-m", "(\w+)"\]$', stage, re.MULTILINE)
    assert entry is not None
    assert commands - {"sidecar"} | {entry[1]} == {package}
    built = dockerfile.split(f" AS build-{target}\n")[1]
    extras = re.search(r"'\.\[([\w,]+)\]'", built)
    assert extras is not None
    installed = _closure("rerank-sidecar", frozenset(extras[1].split(",")))
    where = packages_distributions()
    for name in _imported(f"{package}.__main__"):
        assert {_plain(one) for one in where[name]} & installed, name


def _imported(start: str) -> set[str]:
    """Top-level names of other projects that a module, or any of ours that it imports, imports."""
    ours, others, pending = set(), set(), [start]
    while pending:
        module = pending.pop()
        path = ROOT.joinpath(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if module in ours or not file.exists():  # what is no file is a name within a module
            continue
        ours.add(module)
        pending.append(module.rpartition(".")[0] or module)
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                top = name.split(".")[0]
                if (ROOT / top).is_dir():
                    pending.append(name)
                elif top not in sys.stdlib_module_names:
                    others.add(top)
    return others


def _closure(distribution: str, extras: frozenset[str]) -> set[str]:
    """All that pip installs for a distribution with these extras, as far as it is here."""
    found, pending = set(), [(distribution, extras)]
    while pending:
        one = pending.pop()
        if one in found:
            continue
        found.add(one)
        try:
            needs = [Requirement(text) for text in requires(one[0]) or []]
        except PackageNotFoundError:
            continue
        for need in needs:
            asked = [{"extra": extra} for extra in ("", *one[1])]
            if need.marker is None or any(map(need.marker.evaluate, asked)):
                pending.append((_plain(need.name), frozenset(need.extras)))
    return {name for name, _ in found}


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_compose_is_compose():
    """By the schema of its specification."""
    _lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


@pytest.mark.parametrize("path", [*MANIFESTS, CRONJOB], ids=lambda path: path.name)
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
        settings = YAML(typ="safe").load(DEPLOY / "kubernetes" / "settings.yaml")
        path = tmp_path / "sidecar.toml"
        path.write_text(settings["data"]["sidecar.toml"])
    read = read_command_line(["--config", str(path)])
    assert read.ignored == ()
    assert read.settings.cluster is not None
    assert [*read.settings.profiles] == ["products"]


@pytest.fixture
def kubectl():
    """Runs it as far as it needs no cluster; gives what it prints."""
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")

    def run(*arguments):
        ended = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_an_apply_leaves_secrets_alone(kubectl):
    """One among the resources would put what it has in place of the keys, at each apply."""
    built = [*YAML(typ="safe").load_all(kubectl("kustomize", DEPLOY / "kubernetes"))]
    assert len(built) > len(MANIFESTS)
    assert "Secret" not in {one["kind"] for one in built}


def test_with_certificates_nothing_goes_in_plain_text(kubectl, tmp_path, monkeypatch):
    """The files for TLS are those of Kubernetes, changed where that matters: ports and probes."""
    built = kubectl("kustomize", DEPLOY / "kubernetes-tls")
    (tmp_path / "built.yaml").write_text(built)
    _lint("kubernetes-validate", "--strict", str(tmp_path / "built.yaml"))
    made = [*YAML(typ="safe").load_all(built)]
    [settings] = [one for one in made if one["kind"] == "ConfigMap"]
    [deployment] = [one for one in made if one["kind"] == "Deployment"]
    ports = [port for one in made if one["kind"] == "Service" for port in one["spec"]["ports"]]
    assert {port["appProtocol"] for port in ports} == {"https"}
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "grpc" not in container[name]
        assert container[name]["httpGet"]["scheme"] == "HTTPS"
    # What the server reads there: the two files of such a secret, where they are mounted.
    for one in container["env"]:
        if "value" in one:
            monkeypatch.setenv(one["name"], one["value"])
    monkeypatch.delenv("RERANK_DATA", raising=False)  # the tests' own, no setting of the sidecar
    (tmp_path / "sidecar.toml").write_text(settings["data"]["sidecar.toml"])
    read = read_command_line(["--config", str(tmp_path / "sidecar.toml")])
    assert (read.ignored, read.settings.insecure) == ((), False)
    assert read.settings.tls is not None
    [volume] = [
        one["name"]
        for one in pod["volumes"]
        if one.get("secret", {}).get("secretName") == "rerank-sidecar-tls"
    ]
    [folder] = [one["mountPath"] for one in container["volumeMounts"] if one["name"] == volume]
    assert read.settings.tls.certificate == Path(folder, "tls.crt")
    assert read.settings.tls.key == Path(folder, "tls.key")


@pytest.mark.usefixtures("kubectl")
def test_the_secret_that_is_asked_for_is_what_the_pods_take(tmp_path):
    """By the commands at the head of the files; a change of the keys does not touch the rest."""
    key, lines = new_key("shop")
    (tmp_path / "keys.toml").write_text(lines)
    head = (DEPLOY / "kubernetes" / "kustomization.yaml").read_text().replace("\\\n#", "")
    first, later = re.findall(r"kubectl create secret [^|\n]+", head)
    secret = _made(first + " --dry-run=client -o yaml", tmp_path)
    deployment = YAML(typ="safe").load(DEPLOY / "kubernetes" / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [volume] = [one["secret"] for one in pod["volumes"] if "secret" in one]
    env = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]}
    of = env["RERANK_PAGE_TOKEN_KEY"]
    assert {volume["secretName"], of["name"]} == {secret["metadata"]["name"]}
    assert {of["key"], "keys.toml"} == {*secret["data"]}
    # Not optional: a server that signs with a key of its own would refuse the others' pages.
    assert "optional" not in of
    assert len(b64decode(secret["data"][of["key"]])) >= 32
    (tmp_path / "read.toml").write_bytes(b64decode(secret["data"]["keys.toml"]))
    assert read_keys(tmp_path / "read.toml").caller(f"Bearer {key}", "").name == "shop"
    changed = _made(later, tmp_path)
    assert changed["metadata"]["name"] == secret["metadata"]["name"]
    assert {*changed["data"]} == {"keys.toml"}
    assert {
        "RERANK_" + name for name in ("PAGE_TOKEN_KEY", "CLUSTER__USER", "CLUSTER__PASSWORD")
    } == {*env}
    assert {"page_token_key", "cluster"} <= Settings.model_fields.keys()


def _made(command, folder):
    made = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return YAML(typ="safe").load(made.stdout)


def test_dashboard_and_alerts_ask_for_metrics_that_there_are():
    """Every name in a query is one that the server tells."""
    with Engine(workers=1) as engine:
        metrics = Metrics()
        scorer = stand_on(Live(Standing.read(Settings())), engine).scorer
        metrics.watch(scorer, lambda: 0, lambda: 0)
        told = metrics.page().decode()
    names = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    suffixes = ("_total", "_bucket", "_sum", "_count")
    dashboard = json.loads((DEPLOY / "grafana" / "rerank-sidecar.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = YAML(typ="safe").load(DEPLOY / "prometheus-rules.yaml")
    queries += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    scaling = YAML(typ="safe").load_all(DEPLOY / "kubernetes" / "scaling.yaml")
    scaled = [item["pods"]["metric"]["name"] for item in next(iter(scaling))["spec"]["metrics"]]
    adapter = YAML(typ="safe").load(DEPLOY / "prometheus-adapter.yaml")
    served = [rule["seriesQuery"].partition("{")[0] for rule in adapter["rules"]["custom"]]
    assert scaled == served
    queries += scaled
    asked = {name for query in queries for name in re.findall(r"\b(?:rerank|process)_\w+", query)}
    assert len(asked) > 12
    for name in asked:
        bare = next((name.removesuffix(end) for end in suffixes if name.endswith(end)), name)
        assert {name, bare} & names, name


def test_the_weights_of_the_legs_are_those_of_their_record():
    """The file that stands beside them, in the settings of a server and of Kubernetes."""
    settings = YAML(typ="safe").load(DEPLOY / "kubernetes" / "settings.yaml")
    for text in ((DEPLOY / "sidecar.toml").read_text(), settings["data"]["sidecar.toml"]):
        profile = tomllib.loads(text)["profiles"]["products"]
        [name] = re.findall(r"(docs/results/\S+\.json)\n *legs = ", text)
        chosen = read_fusion(ROOT / name).chosen
        assert profile["legs"] == dict(chosen.weights)
        assert profile.get("fusion", Profile.fusion) == chosen.method
        assert profile["depth"] == read_fusion(ROOT / name).depth
