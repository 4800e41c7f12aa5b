"""A cache of installed servers: fetched once, shared by all nodes."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from local_cluster.distribution import Distribution, MavenZip
from local_cluster.maven import fetch
from local_cluster.modules import add_modules
from local_cluster.progress import Say, Ticker, say
from rerank_core.errors import ToolMissingError

LEAST_FREE_BYTES = 2 << 30


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """``$RERANK_CACHE``, or the account's cache folder.

    For root that is under ``/var/cache``: root's home is closed to the unprivileged account that a
    node runs as, and in ``/var/tmp`` anybody could put a program there first.
    """
    if folder := environ.get("RERANK_CACHE"):
        return Path(folder).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/rerank-sidecar")
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rerank-sidecar"


def check_disk(folder: Path, least_free_bytes: int = LEAST_FREE_BYTES) -> None:
    """Raises `ToolMissingError` where the disk behind an existing folder has less room."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < least_free_bytes:
        raise ToolMissingError(
            f"{folder}: {free_bytes >> 20} MB are free, {least_free_bytes >> 20} MB are needed; "
            "make room, or name another folder (RERANK_CACHE for the cache, TMPDIR for data)"
        )


def install(
    distribution: Distribution,
    cache: Path,
    say: Say = say,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """The folder of the installed distribution, fetched and unpacked where it is not there yet.

    It appears whole or not at all, and any number of processes may ask at once: one fetches, the
    others wait. Nobody writes to it afterwards. Raises `ToolMissingError` where Maven, disk or the
    zips are not to be had, or the cache cannot be written.
    """
    place = cache / distribution.folder_name
    if place.is_dir():
        return place
    try:
        if not cache.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            cache.chmod(0o755)
        with _one_process(cache / f"{distribution.folder_name}.lock", say):
            if not place.is_dir():
                check_disk(cache)
                _install_anew(distribution, place, say, environ)
    except OSError as error:
        reason = error.strerror or error
        raise ToolMissingError(
            f"{cache}: cannot be written ({reason}); name another folder by RERANK_CACHE"
        ) from error
    return place


@contextmanager
def _one_process(lock: Path, say: Say) -> Iterator[None]:
    # The kernel gives the lock back when its holder ends, whichever way.
    with lock.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is installing, waiting for it (lock {lock}) ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install_anew(
    distribution: Distribution, place: Path, say: Say, environ: Mapping[str, str]
) -> None:
    prefix = f".{place.name}-"
    for left_by_the_killed in place.parent.glob(f"{prefix}*"):
        shutil.rmtree(left_by_the_killed, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place.parent) as name:
        stage = Path(name)
        zips = [(part, fetch(part, stage, say, environ)) for part in distribution.zips]
        ticker = Ticker(f"unpacking {distribution.name} {distribution.version}", say)
        for part, path in zips:
            _unpack(path, part, distribution.left_out, stage / "whole", ticker)
        ticker.done()
        if distribution.modules:
            add_modules(distribution, stage, stage / "whole", say, environ)
        (stage / "whole").rename(place)


def _unpack(
    path: Path, part: MavenZip, left_out: tuple[str, ...], root: Path, ticker: Ticker
) -> None:
    """Readable for everybody, whatever our umask is: a node may run as another account."""
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            ticker.tick()
            place = PurePosixPath(part.target, entry.filename.removeprefix(part.inside))
            if entry.is_dir() or str(place).startswith(left_out):
                continue
            target = root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open(entry) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            executable = (entry.external_attr >> 16) & 0o100
            target.chmod(0o755 if executable else 0o644)
    for folder in (root, *root.rglob("*/")):
        if folder.is_dir():
            folder.chmod(0o755)
