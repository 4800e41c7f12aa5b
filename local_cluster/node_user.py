"""Whom a node runs as: servers refuse to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from rerank_core.errors import ToolMissingError

_UNPRIVILEGED = "nobody"


@dataclass(frozen=True, slots=True)
class NodeUser:
    """An account other than ours, for which a node's files have to be made readable."""

    name: str
    uid: int
    gid: int

    def can_reach(self, path: Path) -> bool:
        """Whether every folder on the way to `path`, and `path` itself, lets this account in."""
        path = path.resolve()
        return all(self._may_enter(folder.stat()) for folder in (path, *path.parents))

    def _may_enter(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)

    def own(self, folder: Path) -> None:
        """Gives the folder and all in it to this account."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def node_user() -> NodeUser | None:
    """For root, an unprivileged account that every Linux has; for all others None: themselves.

    Raises `ToolMissingError` where root finds no such account.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as error:
        raise ToolMissingError(
            f"a search server does not run as root, and there is no user {_UNPRIVILEGED!r} to run "
            "it as; start as a user of your own"
        ) from error
    return NodeUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
