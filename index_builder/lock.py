"""One rebuild of an alias at a time: a lock in the cluster itself."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterError, ClusterRefused, ReleaseError

LOCKS = "rerank-builds"
"""The index that holds them, one document an alias."""

_TTL_S = 60.0
_TRIES = 5
_EXISTS, _NOT_FOUND, _CONFLICT = 400, 404, 409
_BODY = {
    "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}},
    "mappings": {
        "dynamic": False,  # a newer builder may note more
        "properties": {
            "owner": {"type": "keyword"},
            "index": {"type": "keyword"},
            "machine": {"type": "keyword", "index": False},
            "process": {"type": "long", "index": False},
            "expires_at": {"type": "date"},
        },
    },
}


def new_owner() -> str:
    """Who builds: where and which process, for people, and a part that is its own."""
    return f"{socket.gethostname()} process {os.getpid()} {secrets.token_hex(8)}"


class BuildLock:
    """Holds an alias's lock for as long as the block lasts, and renews it.

    It is taken, renewed and left by compare-and-set on the document's sequence number. Expiry is
    in wall-clock time, so the builders' clocks must agree to within half of `ttl_s`.
    """

    def __init__(
        self, client: OpenSearch, alias: str, owner: str, index: str, ttl_s: float = _TTL_S
    ) -> None:
        self._client = client
        self._alias = alias
        self._owner = owner
        self._index = index
        self._ttl_s = ttl_s
        self._at: tuple[int, int] | None = None
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._keep_renewing, name="lock", daemon=True)
        self.lost = False
        """Somebody else has it: seen by a renewal."""

    def __enter__(self) -> BuildLock:
        """Raises `ReleaseError` naming who has it and until when, and `ClusterError`."""
        with cluster_errors(f"locking alias {self._alias}"):
            _make_index(self._client)
        for _ in range(_TRIES):
            if self._take():
                self._renewer.start()
                return self
        raise ReleaseError(f"alias {self._alias}: many builders want its lock; try again")

    def check(self) -> None:
        """Renews. Raises `ReleaseError` where it was lost, `ClusterError` where nobody knows."""
        with self._mutex:
            if not self._renew():
                self.lost = True
        if self.lost:
            raise ReleaseError(
                f"alias {self._alias}: the lock of this build ran out and another one has it now; "
                "the alias was not touched"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._renewer.join()
        try:
            with cluster_errors(f"unlocking alias {self._alias}"):
                self._client.delete(index=LOCKS, id=self._alias, params=self._condition())
        except ClusterError:
            return  # it is another's already, or runs out by itself

    def _take(self) -> bool:
        """False where another try may help."""
        try:
            with cluster_errors(f"locking alias {self._alias}"):
                said = self._client.create(index=LOCKS, id=self._alias, body=self._document())
        except ClusterRefused as refusal:
            if refusal.status != _CONFLICT:
                raise
        else:
            self._at = said["_seq_no"], said["_primary_term"]
            return True
        found = read_lock(self._client, self._alias)
        if found is None:
            return False  # it was left meanwhile
        held = found["_source"]
        expires_at = datetime.fromisoformat(held["expires_at"])
        if held["owner"] != self._owner and _now() < expires_at and not _is_dead(held):
            raise ReleaseError(
                f"alias {self._alias} is being rebuilt by {held['owner']} into {held['index']}; "
                f"wait for it. If that one is dead, its lock runs out at {held['expires_at']}"
            )
        self._at = found["_seq_no"], found["_primary_term"]
        return self._write()

    def _write(self) -> bool:
        """False where the document is no more the one that we know."""
        try:
            with cluster_errors(f"renewing the lock of alias {self._alias}"):
                said = self._client.index(
                    index=LOCKS, id=self._alias, body=self._document(), params=self._condition()
                )
        except ClusterRefused as refusal:
            if refusal.status in (_CONFLICT, _NOT_FOUND):
                return False
            raise
        self._at = said["_seq_no"], said["_primary_term"]
        return True

    def _renew(self) -> bool:
        if self._write():
            return True
        # The answer to an earlier renewal may have been lost: then the document is still ours.
        found = read_lock(self._client, self._alias)
        if found is None or found["_source"]["owner"] != self._owner:
            return False
        self._at = found["_seq_no"], found["_primary_term"]
        return self._write()

    def _keep_renewing(self) -> None:
        while not self._stop.wait(self._ttl_s / 3):
            try:
                with self._mutex:
                    self.lost = self.lost or not self._renew()
            except ClusterError:
                continue  # a cluster that restarts keeps the lock; `check` has the last word

    def _document(self) -> dict[str, Any]:
        expires_at = _now() + timedelta(seconds=self._ttl_s)
        return {
            "owner": self._owner,
            "index": self._index,
            "machine": _machine(),
            "process": os.getpid(),
            "expires_at": expires_at.isoformat(),
        }

    def _condition(self) -> dict[str, int]:
        seq_no, primary_term = self._at or (0, 0)
        return {"if_seq_no": seq_no, "if_primary_term": primary_term}


def read_lock(client: OpenSearch, alias: str) -> Mapping[str, Any] | None:
    """The lock's document with its sequence number; None where nobody has it."""
    try:
        with cluster_errors(f"reading the lock of alias {alias}"):
            found: Mapping[str, Any] = client.get(index=LOCKS, id=alias)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return None
        raise
    return found


def _make_index(client: OpenSearch) -> None:
    try:
        with cluster_errors(f"creating {LOCKS}"):
            client.indices.create(index=LOCKS, body=_BODY)
    except ClusterRefused as refusal:
        if refusal.status != _EXISTS:
            raise


def _is_dead(held: Mapping[str, Any]) -> bool:
    """Whether the holder was a process of this very machine that is no more."""
    if held.get("machine") != _machine():
        return False
    try:
        os.kill(int(held["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _machine() -> str:
    """Where process numbers mean the same: this boot, and this namespace of them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return secrets.token_hex(8)  # nobody's: then expiry alone decides


def _now() -> datetime:
    return datetime.now(UTC)
