"""Fetches zips with Maven, which knows the machine's mirrors and proxies.

What came is held against the checksum that we know. Maven's own check is left at its default, a
warning: not every zip has a checksum published beside it, and the strict mode refuses those.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local_cluster.distribution import MavenZip
from local_cluster.keeper import start_kept, stop_kept
from local_cluster.progress import Say, Ticker
from rerank_core.errors import ToolMissingError
from rerank_core.hashing import hash_file

_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get"
_LAST_LINES = 3


def fetch(part: MavenZip, stage: Path, say: Say, environ: Mapping[str, str] = os.environ) -> Path:
    """The zip, below the folder `stage`, with the checksum that it must have.

    What does not arrive, or not whole, is fetched a second time. Raises `ToolMissingError` where
    Maven is missing or that, too, fails.
    """
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise ToolMissingError(
            f"Maven is needed to fetch {part.coordinates}; install it (apt-get install maven) "
            "and have mvn on the PATH"
        )
    problem = ""
    for attempt in ("first", "second"):
        # A repository of our own, thrown away with the stage: the user's would keep a second copy
        # of each zip, and a broken one for ever.
        repository = stage / f"{attempt}-repository"
        problem = _run(maven, part, repository, say, environ)
        path = repository / part.repository_path
        if not problem and hash_file(path) == part.sha256:
            return path
        problem = problem or f"what came has not the sha256 {part.sha256}"
        say(f"{part.coordinates}: {problem}")
    raise ToolMissingError(
        f"{part.coordinates} could not be fetched: {problem}; Maven must reach Maven Central, or "
        "a mirror that ~/.m2/settings.xml names"
    )


def _run(maven: str, part: MavenZip, repository: Path, say: Say, environ: Mapping[str, str]) -> str:
    """What went wrong, or nothing."""
    repository.mkdir(exist_ok=True)
    log = repository / "mvn.log"
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "-Dstyle.color=never",
        f"-Dmaven.repo.local={repository}",
        _GOAL,
        f"-Dartifact={part.coordinates}",
        "-Dtransitive=false",
    ]
    ticker = Ticker(f"fetching {part.artifact} {part.version} with Maven", say)
    with log.open("wb") as output:
        keeper = start_kept(command, folder=repository, environ=environ, output=output)
        try:
            while _still_runs(keeper):
                ticker.tick(f"{_size_bytes(repository) >> 20} MB")
        finally:
            stop_kept(keeper)
    if keeper.returncode == 0 and (repository / part.repository_path).is_file():
        ticker.done()
        return ""
    said = log.read_text(encoding="utf-8", errors="replace")
    _, _, problem = said.partition("[ERROR] ")
    # What is no error of Maven's own, such as a Java that does not start, stands at the end.
    last = "; ".join([line.strip() for line in said.splitlines() if line.strip()][-_LAST_LINES:])
    ending = f"mvn ended with status {keeper.returncode}"
    if keeper.returncode == 0:
        ending += " and brought no zip"
    return problem.partition("\n")[0] or f"{ending}: {last or 'it said nothing'}"


def _still_runs(keeper: subprocess.Popen[bytes]) -> bool:
    try:
        keeper.wait(0.5)
    except subprocess.TimeoutExpired:
        return True
    return False


def _size_bytes(folder: Path) -> int:
    total_bytes = 0
    for path in folder.rglob("*"):
        # Maven renames files while they are counted.
        with contextlib.suppress(FileNotFoundError):
            total_bytes += path.stat().st_size
    return total_bytes
