"""Modules that a server's zip lacks, put together from their jars."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from local_cluster.distribution import Distribution, MavenModule
from local_cluster.maven import find_maven, run_maven
from local_cluster.progress import Say
from rerank_core.errors import ToolMissingError
from rerank_core.hashing import hash_file, hash_json

_GROUP = "org.opensearch.plugin"
_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_PROJECT = """<project><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>{name}</artifactId><version>1</version>{body}</project>
"""


def add_modules(
    distribution: Distribution,
    stage: Path,
    root: Path,
    say: Say,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Puts the distribution's modules into the unpacked server `root`, each with what it needs.

    One run of Maven fetches them all, below `stage`; jars that the server has itself are left out.
    Raises `ToolMissingError` where they are not to be had, or are not what they should be.
    """
    projects = stage / "modules"
    _write_projects(projects, distribution)
    maven = find_maven(f"the modules of {distribution.name} {distribution.version}", environ)
    arguments = (
        f"--file={projects / 'pom.xml'}",
        _GOAL,
        "-DincludeScope=runtime",
        "-DoutputDirectory=${project.basedir}/jars",
    )
    last = projects / distribution.modules[-1].name / "jars"
    problem = run_maven(
        maven, arguments, "modules", last, stage / "modules-repository", say, environ
    )
    if not problem:
        jars = _jars(projects, distribution, root / "lib")
        checksum = hash_json([[path.name, hash_file(path)] for _, path in jars])
        if checksum == distribution.modules_sha256:
            for module in distribution.modules:
                _write_module(root / "modules" / module.name, module, distribution.version)
            for module, path in jars:
                _place(path, root / "modules" / module.name)
            return
        problem = f"their jars have the checksum {checksum}, not {distribution.modules_sha256}"
    raise ToolMissingError(
        f"the modules of {distribution.name} {distribution.version} could not be fetched: "
        f"{problem}; Maven must reach Maven Central, or a mirror that ~/.m2/settings.xml names"
    )


def _write_projects(folder: Path, distribution: Distribution) -> None:
    names = [module.name for module in distribution.modules]
    listed = "".join(f"<module>{name}</module>" for name in names)
    folder.mkdir()
    body = f"<packaging>pom</packaging><modules>{listed}</modules>"
    (folder / "pom.xml").write_text(_PROJECT.format(name="all", body=body), encoding="utf-8")
    for module in distribution.modules:
        (folder / module.name).mkdir()
        body = (
            f"<dependencies><dependency><groupId>{_GROUP}</groupId>"
            f"<artifactId>{module.artifact}</artifactId><version>{distribution.version}</version>"
            "</dependency></dependencies>"
        )
        pom = _PROJECT.format(name=module.name, body=body)
        (folder / module.name / "pom.xml").write_text(pom, encoding="utf-8")


def _jars(
    projects: Path, distribution: Distribution, server: Path
) -> list[tuple[MavenModule, Path]]:
    there = {path.name for path in server.iterdir()}
    return [
        (module, path)
        for module in distribution.modules
        for path in sorted((projects / module.name / "jars").glob("*.jar"))
        if path.name not in there
    ]


def _write_module(folder: Path, module: MavenModule, version: str) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    _write(folder / "plugin-descriptor.properties", module.descriptor(version))
    if module.policy:
        _write(folder / "plugin-security.policy", module.policy)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _place(jar: Path, folder: Path) -> None:
    shutil.copyfile(jar, folder / jar.name)
    (folder / jar.name).chmod(0o644)
