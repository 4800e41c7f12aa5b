"""Fetches zips with Maven, which knows the machine's mirrors and proxies.

What came is held against the checksum that we know. Maven's own check is left at its default, a
warning: not every zip has a checksum published beside it, and the strict mode refuses those.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
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
    maven = find_maven(part.coordinates, environ)
    problem = ""
    for attempt in ("first", "second"):
        # A repository of our own, thrown away with the stage: the user's would keep a second copy
        # of each zip, and a broken one for ever.
        repository = stage / f"{attempt}-repository"
        path = repository / part.repository_path
        arguments = (_GOAL, f"-Dartifact={part.coordinates}", "-Dtransitive=false")
        what = f"{part.artifact} {part.version}"
        problem = run_maven(maven, arguments, what, path, repository, say, environ)
        if not problem and hash_file(path) == part.sha256:
            return path
        problem = problem or f"what came has not the sha256 {part.sha256}"
        say(f"{part.coordinates}: {problem}")
    raise ToolMissingError(
        f"{part.coordinates} could not be fetched: {problem}; Maven must reach Maven Central, or "
        "a mirror that ~/.m2/settings.xml names"
    )


def find_maven(wanted: str, environ: Mapping[str, str]) -> str:
    """Where mvn is. Raises `ToolMissingError`."""
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise ToolMissingError(
            f"Maven is needed to fetch {wanted}; install it (apt-get install maven) "
            "and have mvn on the PATH"
        )
    return maven


def run_maven(
    maven: str,
    arguments: Sequence[str],
    what: str,
    wanted: Path,
    repository: Path,
    say: Say,
    environ: Mapping[str, str],
) -> str:
    """Runs it on a repository of its own until `wanted` is there; what went wrong, or nothing."""
    repository.mkdir(exist_ok=True)
    log = repository / "mvn.log"
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "-Dstyle.color=never",
        f"-Dmaven.repo.local={repository}",
        *arguments,
    ]
    ticker = Ticker(f"fetching {what} with Maven", say)
    with log.open("wb") as output:
        keeper = start_kept(command, folder=repository, environ=environ, output=output)
        try:
            while _still_runs(keeper):
                ticker.tick(f"{_size_bytes(repository) >> 20} MB")
        finally:
            stop_kept(keeper)
    if keeper.returncode == 0 and wanted.exists():
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
