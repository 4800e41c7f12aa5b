"""Builds of the sidecar: the one this process runs, one from a git revision, one in a folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

from benchmarks.child import last_words
from benchmarks.serving import Build
from rerank_core.errors import ConfigError, ToolMissingError

_ROOT = Path(__file__).parents[2]
_START = "import runpy; runpy.run_module('sidecar', run_name='__main__', alter_sys=True)"


def reference_build(reference: str, scratch: Path) -> Build:
    """A folder that holds an installed build, or a git revision that is built into `scratch`.

    Raises `ConfigError` for what is neither, `ToolMissingError` where it cannot be built.
    """
    folder = Path(reference)
    if folder.is_dir():
        if not (folder / "sidecar").is_dir():
            raise ConfigError(
                f"{folder}: holds no build; make one with uv pip install --no-deps --target "
                f"{folder} CHECKOUT, or name a git revision"
            )
        return installed(reference, folder.resolve())
    return installed(reference, _built(reference, scratch))


def installed(name: str, folder: Path) -> Build:
    """The build in a folder, with the libraries of this environment.

    Without `site`: an editable install would put this checkout before the folder.
    """
    libraries = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    return Build(
        name,
        (sys.executable, "-S", "-P", "-c", _START),
        {"PYTHONPATH": os.pathsep.join([str(folder), *libraries])},
    )


def _built(revision: str, scratch: Path) -> Path:
    source, target = scratch / "source", scratch / "build"
    source.mkdir(parents=True)
    archive = subprocess.run(  # noqa: S603  a revision is one word, and comes after all options
        ["git", "archive", "--format=tar", "--end-of-options", revision],  # noqa: S607
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        said = archive.stderr.decode("utf-8", "replace").strip()
        raise ConfigError(f"{revision}: neither a folder nor a git revision: {said}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(source, filter="data")
    _install(source, target)
    return target


def _install(source: Path, target: Path) -> None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415  wanted for this alone
    except ImportError as error:
        raise ToolMissingError("uv builds the reference: pip install uv") from error
    done = subprocess.run(  # noqa: S603  words of ours
        [
            find_uv_bin(),
            *("pip", "install", "-q", "--python", sys.executable),
            *("--no-deps", "--target", str(target), str(source)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolMissingError(f"the reference cannot be built: {last_words(done)}")
