"""The alias's move to the fresh index."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch

from index_builder.progress import Progress
from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterRefused, ClusterTimeout, ClusterUnavailable, ReleaseError

_NOT_FOUND = 404


def swap_alias(
    client: OpenSearch, alias: str, before: str | None, index: str, progress: Progress
) -> None:
    """Moves `alias` from `before` (None: from nowhere) to `index` in one action.

    A filter or routing on the alias moves with it. Raises `ReleaseError` where the alias is not
    where it was when the build began, and `ClusterError`; the fresh index stays in both cases, and
    that is said. Of two first builds that end together one or both give way, so that the alias
    does not stand for two indexes.
    """
    try:
        _move(client, alias, before, index, progress)
    except BaseException:
        progress.note(
            f"{index} is complete and stays; move the alias {alias} to it yourself, or delete it"
        )
        raise


def _move(
    client: OpenSearch, alias: str, before: str | None, index: str, progress: Progress
) -> None:
    standing = _indices_of(client, alias)
    if set(standing) != ({before} if before else set()):
        raise _moved(alias, before)
    actions: list[dict[str, Any]] = [{"add": {"index": index, "alias": alias}}]
    if before is not None:
        actions[0]["add"] |= standing[before]
        # The cluster itself refuses where the alias has moved since it was looked up.
        remove = {"index": before, "alias": alias, "must_exist": True}
        actions.insert(0, {"remove": remove})
    try:
        with cluster_errors(f"moving alias {alias} to {index}"):
            client.indices.update_aliases(body={"actions": actions})
        if before is None:
            _give_way(client, alias, index)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            raise _moved(alias, before) from refusal
        raise
    except (ClusterTimeout, ClusterUnavailable, KeyboardInterrupt):
        progress.note(f"alias {alias} may have moved to {index} or not; ask GET _alias/{alias}")
        raise


def _give_way(client: OpenSearch, alias: str, index: str) -> None:
    """Where nothing was removed the cluster could miss nothing: another index may be there too."""
    if set(_indices_of(client, alias)) == {index}:
        return
    with cluster_errors(f"removing alias {alias} from {index}"):
        client.indices.delete_alias(index=index, name=alias)
    raise _moved(alias, None)


def _indices_of(client: OpenSearch, alias: str) -> dict[str, dict[str, Any]]:
    """The alias's own properties (filter, routing) by index that it stands for."""
    try:
        with cluster_errors(f"looking up alias {alias}"):
            answer = client.indices.get_alias(name=alias)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return {}
        raise
    return {index: body["aliases"][alias] for index, body in answer.items()}


def _moved(alias: str, before: str | None) -> ReleaseError:
    was = f"stood for {before}" if before else "did not exist"
    return ReleaseError(
        f"alias {alias} {was} when this build began, and no longer does: another build was faster"
    )
