"""The folder of one run of a node: its configuration, data and logs."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from local_cluster.distribution import Distribution
from local_cluster.install import check_disk
from local_cluster.java import Java
from local_cluster.node_user import NodeUser
from rerank_core.errors import ToolMissingError

# Files that the node would write into the install, which is shared; and the dump of a heap that
# would be thrown away.
_UNWANTED = re.compile(r"file=logs/|ErrorFile=|HeapDump")
_VECTOR_MODULE = "jdk.incubator.vector"


def new_node_folder(user: NodeUser | None) -> Path:
    """A fresh, empty folder under the machine's temporary folder.

    Raises `ToolMissingError` where there is no room, or `user` could not get there.
    """
    base = Path(tempfile.gettempdir())
    check_disk(base)
    if len(str(base).split()) > 1:
        raise ToolMissingError(f"{base}: Java options cannot hold white space; set another TMPDIR")
    if user is not None and not user.can_reach(base):
        raise ToolMissingError(
            f"{base}: closed to the account {user.name!r} that the node runs as; set TMPDIR to a "
            "folder that all may enter",
        )
    return Path(tempfile.mkdtemp(prefix="rerank-cluster-", dir=base))


def configure(
    folder: Path, distribution: Distribution, install: Path, java: Java, http_port: int
) -> None:
    """Makes the folder one that a node of this install can start in, on this Java.

    Nothing of the install is copied but two files of its configuration.
    """
    for name in ("config", "data", "logs", "tmp"):
        (folder / name).mkdir()
    settings = (
        f"{distribution.settings}http.port: {http_port}\ntransport.port: 0\n"
        f"path.data: {folder / 'data'}\npath.logs: {folder / 'logs'}\n"
    )
    shipped = install / "config"
    logging = (shipped / "log4j2.properties").read_text(encoding="utf-8")
    options = jvm_options((shipped / "jvm.options").read_text(encoding="utf-8"), java)
    config = folder / "config"
    (config / f"{distribution.name}.yml").write_text(settings, encoding="utf-8")
    (config / "log4j2.properties").write_text(logging, encoding="utf-8")
    (config / "jvm.options").write_text(options, encoding="utf-8")


def jvm_options(shipped: str, java: Java) -> str:
    """The shipped options, without what writes into the install and what this Java lacks."""
    lacking = () if _VECTOR_MODULE in java.modules else (_VECTOR_MODULE,)
    kept = [
        line
        for line in shipped.splitlines()
        if not _UNWANTED.search(line) and not any(module in line for module in lacking)
    ]
    return "\n".join(kept) + "\n"
