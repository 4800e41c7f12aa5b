"""The commands of docs/search.md, in their order, on a shop of one's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

import pytest

from index_builder.schema import read_schema
from rerank_core import records
from rerank_core.cluster.connection import connect
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.weights import read_weights
from rerank_core.errors import ConfigError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]

BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def shop(cluster: ClusterSettings, tmp_path: Path):
    """A made-up shop in the folder `shop`, its index behind an alias of its own."""
    alias = f"doc-{uuid.uuid4().hex}"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "OPENSEARCH_URL": cluster.url}

    def run(command: str) -> int:
        words = command.replace("products", alias).split()
        assert words.pop(0) == "python"
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environ, check=False, timeout=200
        ).returncode

    made = ["-m", "demo", "make-catalogue", "shop", "--products", "120", "--queries", "12"]
    subprocess.run([sys.executable, *made], cwd=tmp_path, env=environ, check=True, timeout=200)
    assert run("python -m index_builder rebuild shop --alias products --replicas 0") == 0
    yield run
    with connect(cluster) as client:
        for index in client.indices.get(index=f"{alias}-*"):
            client.indices.delete(index=index)


def test_every_command_runs(shop, tmp_path: Path) -> None:
    """Each ends well but the diff, which tells by its exit code that there is something."""
    for command in COMMANDS:
        if "templates diff" in command:
            file = tmp_path / "templates" / "lexical.mustache"
            file.write_text(file.read_text().replace('"boost": 2', '"boost": 3'))
            assert shop(command) == 5
            assert shop("python -m index_builder templates test --folder templates --update") == 0
        else:
            assert shop(command) == 0, command
    assert read_weights(tmp_path / "weights.toml").queries > 0


def test_the_profile_shown_is_one() -> None:
    """As it stands there; and it advises what the settings to begin with do."""
    profile = tomllib.loads(BLOCKS[1])["profiles"]["products"]
    shown = records.read_value(Profile, profile, "docs/search.md", ConfigError)
    settings = tomllib.loads((ROOT / "deploy" / "sidecar.toml").read_text(encoding="utf-8"))
    for name in ("legs", "rerank_depth", "blend"):
        assert getattr(shown, name) == settings["profiles"]["products"][name], name


def test_the_synonyms_shown_are_a_schema_s(tmp_path: Path) -> None:
    """As a file, and as the list in the comment beside it."""
    file, _, rules = BLOCKS[0].partition("# or: ")
    (tmp_path / "synonyms.txt").write_text("sofa, couch, settee\ntele => television\n")
    fields = '[fields.title]\ntype = "text"\n'
    for name, text in (("file", file), ("list", f"synonyms = {rules}")):
        (tmp_path / f"{name}.toml").write_text(f"{text}\n{fields}")
    assert read_schema(tmp_path / "file.toml") == read_schema(tmp_path / "list.toml")
