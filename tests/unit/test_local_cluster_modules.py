"""Modules of a server that its zip lacks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from local_cluster.distribution import OPENSEARCH, OPENSEARCH_2
from local_cluster.modules import add_modules
from rerank_core.errors import ToolMissingError
from rerank_core.hashing import hash_json

# A Maven that brings every module the same two jars, of which the server has one.
_MAVEN = """#!/bin/sh
for argument; do case $argument in --file=*) folder=$(dirname "${argument#--file=}");; esac; done
for pom in "$folder"/*/pom.xml; do
  mkdir "$(dirname "$pom")/jars"
  echo own > "$(dirname "$pom")/jars/own.jar"
  echo shared > "$(dirname "$pom")/jars/shared.jar"
done
"""
_SHA256_OF_OWN = "7e6518373b1a8cf5eed9717076284744ba44ace422c7877442aebcceecc42a23"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Unpacked, with one jar; beside it a Maven that brings jars."""
    root = tmp_path / "server"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "shared.jar").touch()
    (root / "modules").mkdir()
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(_MAVEN)
    maven.chmod(0o755)
    return root


def _add(root: Path, checksum: str) -> None:
    distribution = replace(OPENSEARCH_2, modules=OPENSEARCH_2.modules[:3], modules_sha256=checksum)
    stage = root.parent / "stage"
    stage.mkdir()
    environ = {"PATH": f"{root.parent / 'bin'}:{os.environ['PATH']}"}
    add_modules(distribution, stage, root, lambda _: None, environ)


def test_a_module_is_its_jars_a_descriptor_and_its_permissions(server: Path) -> None:
    """Without the jars that the server has; readable for the account that it runs as."""
    _add(server, hash_json([["own.jar", _SHA256_OF_OWN]] * 3))
    painless = server / "modules" / "lang-painless"
    assert sorted(path.name for path in painless.iterdir()) == [
        "own.jar",
        "plugin-descriptor.properties",
        "plugin-security.policy",
    ]
    descriptor = (painless / "plugin-descriptor.properties").read_text()
    assert "classname=org.opensearch.painless.PainlessPlugin\n" in descriptor
    analysis = server / "modules" / "analysis-common" / "plugin-descriptor.properties"
    assert "extended.plugins=lang-painless\n" in analysis.read_text()
    assert {path.stat().st_mode & 0o777 for path in painless.iterdir()} == {0o644}


def test_other_jars_than_those_known_are_refused(server: Path) -> None:
    """And no module is made of them."""
    with pytest.raises(ToolMissingError, match="their jars have the checksum"):
        _add(server, "0" * 64)
    assert list((server / "modules").iterdir()) == []


def test_an_install_is_another_where_its_modules_are() -> None:
    """The folder of a distribution without modules is named as ever."""
    assert OPENSEARCH.folder_name == "opensearch-3.5.0-1a2967d3"
    fewer = replace(OPENSEARCH_2, modules=OPENSEARCH_2.modules[1:])
    assert fewer.folder_name != OPENSEARCH_2.folder_name
