"""`versions`, `rollback`, `prune` and `doctor`: what is on the cluster, and what to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from index_builder.commands.outcome import answer, cluster_settings, ending, failed_verdict
from index_builder.doctor import examine
from index_builder.schema import read_schema
from index_builder.versions import Version, list_versions
from index_builder.versions import prune as prune_versions
from index_builder.versions import rollback as roll_back
from rerank_core.cluster.connection import connect

_Alias = Annotated[str, typer.Option(help="Name that searches use.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def versions(alias: _Alias, *, as_json: _Json = False) -> None:
    """Lists the indexes that were built for an alias, newest first: state, size, model, gates."""
    with ending(), connect(cluster_settings()) as client:
        found = list_versions(client, alias)
    lines = [line for version in found for line in _lines(version)]
    answer(found, lines or [f"no index was built for {alias}"], as_json=as_json)


def rollback(
    alias: _Alias,
    to: Annotated[
        str | None, typer.Option(help="Index. Default: the newest that is older than the live one.")
    ] = None,
    *,
    as_json: _Json = False,
) -> None:
    """Moves the alias back to an index before; its templates and encoder go with it."""
    with ending() as progress, connect(cluster_settings()) as client:
        version, before = roll_back(client, alias, to, progress)
    encoder = version.release.encoder_name if version.release else ""
    lines = [
        f"alias {alias} stands for {version.index}; {before} stays",
        f"the sidecar must have its encoder loaded: {encoder}",
    ]
    said = {"alias": alias, "index": version.index, "replaced": before, "encoder": encoder}
    answer(said, lines, as_json=as_json)


def prune(
    alias: _Alias,
    keep: Annotated[int, typer.Option(min=1, help="Newest finished indexes that stay.")] = 2,
    *,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Those that no build finished, too.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Deletes old indexes of an alias; never one that an alias stands for."""
    with ending() as progress, connect(cluster_settings()) as client:
        deleted = prune_versions(client, alias, keep, progress, unfinished=unfinished)
    names = [version.index for version in deleted]
    answer(names, [f"{len(names)} deleted"], as_json=as_json)


def doctor(
    alias: _Alias,
    schema: Annotated[
        Path | None, typer.Option(help="Compares the live index's fields with it.")
    ] = None,
    *,
    as_json: _Json = False,
) -> None:
    """Says what is wrong with cluster and indexes, and what to do. Exit code 5 for a fault."""
    with ending(), connect(cluster_settings()) as client:
        found = examine(client, alias, read_schema(schema) if schema else None)
    lines = [f"{item.level:>6}  {item.about}: {item.detail}" for item in found]
    answer(found, lines, as_json=as_json)
    if any(item.level == "fault" for item in found):
        failed_verdict()


def _lines(version: Version) -> list[str]:
    state = "live" if version.live else "building" if version.building else ""
    if version.aliases and not version.live:
        state = f"alias {', '.join(version.aliases)}"
    if version.release is None and not version.building:
        state = f"{state} unfinished".strip()
    size = f"{version.documents:,} documents, {version.size_bytes / 2**20:,.1f} MB"
    lines = [f"{version.index}  {state or 'kept'}  {size}  {version.created_at}"]
    if version.release is not None:
        gates = ", ".join(
            f"{gate.name} {gate.verdict}" + ("" if gate.figure is None else f" {gate.figure:.4g}")
            for gate in version.release.gates
        )
        model = f"{version.release.encoder_name} {version.release.encoder_hash[:12]}"
        lines.append(f"    encoder {model}; {gates or 'no gates were kept'}")
    return lines
