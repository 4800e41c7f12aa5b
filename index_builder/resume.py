"""A rebuild begun, or taken up where another one was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from opensearchpy import OpenSearch

from index_builder.checkpoint import FORMAT, Checkpoint, CheckpointFile, Settled
from index_builder.index import discard
from index_builder.lock import new_owner
from index_builder.plan import Plan, Prepared
from index_builder.progress import Progress
from index_builder.rejects import Rejects
from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterRefused, ConfigError

_NOT_FOUND = 404


class Job:
    """How far a rebuild has come, on disk where its input can be read again."""

    def __init__(
        self, index: str, owner: str, file: CheckpointFile | None, *, resumed: bool = False
    ) -> None:
        self.index = index
        self.owner = owner
        self.resumed = resumed
        """Its index is there already."""
        self.left: str | None = None
        """The index of an earlier build that was not resumed."""
        state = file.state if file else None
        self.settled = self.resumed_from = state.settled if state else 0
        """All rows up to this number are in the index or rejected."""
        self.fresh: Checkpoint | None = None
        """What is written once it begins."""
        self._file = file

    @property
    def again(self) -> bool:
        """Whether it can be taken up again."""
        return self._file is not None and self._file.state is not None

    @property
    def loaded(self) -> int | None:
        """Documents that were counted once all rows were settled; None before."""
        state = self._file.state if self._file else None
        return state.loaded if state else None

    @property
    def path(self) -> Path | None:
        """The checkpoint's."""
        return self._file.path if self._file else None

    def begin(self, client: OpenSearch, progress: Progress) -> None:
        """To be called once the alias is locked: what an earlier build left goes.

        Raises `ConfigError`, `ClusterError`.
        """
        if self.left is not None:
            _discard_left(client, self.left, progress)
        if self._file is not None and self.fresh is not None:
            self._file.write(self.fresh)
            self.settled = self.resumed_from = 0

    def begin_chunk(self, rejects: Rejects) -> Callable[[int], Callable[[], None]]:
        """For the loader: each chunk's end moves the checkpoint."""
        return Settled(lambda number: self.note_settled(number, rejects)).begin

    def note_settled(self, number: int, rejects: Rejects) -> None:
        """All rows up to this number are; their rejects are on disk before that is."""
        self.settled = number
        rejects.sync()
        if self._file is not None:
            self._file.change(settled=number)

    def note_loaded(self, documents: int) -> None:
        """All rows are settled, and so many documents were counted."""
        if self._file is not None:
            self._file.change(loaded=documents)

    def done(self) -> None:
        """There is nothing to resume any more."""
        if self._file is not None:
            self._file.delete()


@contextmanager
def open_job(
    plan: Plan,
    prepared: Prepared,
    client: OpenSearch,
    progress: Progress,
    new_name: Callable[[str], str],
) -> Iterator[Job]:
    """A new rebuild, or with ``plan.resume`` the one that the checkpoint tells of.

    Raises `ConfigError` where there is nothing to resume, or input or plan are others now.
    """
    if not prepared.input.again:
        if plan.resume:
            raise ConfigError(
                f"{prepared.input.name} cannot be read again, so nothing of it can be resumed; "
                "leave --resume out"
            )
        yield Job(new_name(plan.alias), new_owner(), None)
        return
    path = plan.checkpoint or Path(f"{plan.alias}.checkpoint")
    if plan.resume and not path.exists():
        raise ConfigError(f"checkpoint {path}: no such file; leave --resume out to begin anew")
    with CheckpointFile(path) as file:
        input_hash, plan_hash = prepared.input.hash(), prepared.plan_hash(plan)
        if plan.resume and file.state is not None:
            state = file.state
            _check_same(state, input_hash, plan_hash, prepared, path)
            if _exists(client, state.index):
                progress.note(f"going on after row {state.settled:,} of {prepared.input.name}")
                yield Job(state.index, state.owner, file, resumed=True)
                return
            progress.note(f"{state.index} is gone from the cluster; beginning anew")
        left = file.state.index if file.state is not None else None
        state = Checkpoint(FORMAT, new_name(plan.alias), new_owner(), input_hash, plan_hash)
        job = Job(state.index, state.owner, file)
        job.left, job.fresh = left, state
        yield job


def _check_same(
    state: Checkpoint, input_hash: str, plan_hash: str, prepared: Prepared, path: Path
) -> None:
    if state.input_hash != input_hash:
        problem = f"{prepared.input.name} is not what it was when the build began"
    elif state.plan_hash != plan_hash:
        problem = "schema, models or options are not what they were when the build began"
    else:
        return
    raise ConfigError(
        f"checkpoint {path}: {problem}; leave --resume out to begin anew, which deletes "
        f"{state.index}"
    )


def _exists(client: OpenSearch, index: str) -> bool:
    with cluster_errors(f"looking for {index}"):
        return bool(client.indices.exists(index=index))


def _discard_left(client: OpenSearch, index: str, progress: Progress) -> None:
    """What an earlier build left unfinished goes; what is finished or in use stays."""
    try:
        with cluster_errors(f"looking at {index}"):
            body = client.indices.get(index=index)[index]
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return
        raise
    if not body["aliases"] and "release" not in body["mappings"].get("_meta", {}):
        progress.note(f"an earlier build was not resumed: {index}")
        discard(client, index, progress)
