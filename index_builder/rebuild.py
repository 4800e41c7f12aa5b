"""A catalogue as a fresh index behind the alias: the stages in their order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from opensearchpy import OpenSearch

from index_builder.catalogue import find_catalogue, read_catalogue
from index_builder.documents import Composer, read_documents
from index_builder.index import finish_index, fresh_index
from index_builder.load import load
from index_builder.mapping import VectorEngine, index_body, mapping_hash
from index_builder.progress import Progress
from index_builder.rejects import Rejects, check_rejects_path
from index_builder.report import Report
from index_builder.schema import BEIR, Schema
from index_builder.stages import StageClock
from index_builder.swap import swap_alias
from index_builder.trial import try_templates
from rerank_core.artifact import Artifact, open_named
from rerank_core.cluster.release import Release, index_behind, write_release
from rerank_core.cluster.templates import load_templates, push
from rerank_core.engine import load_bi_encoder
from rerank_core.errors import ArtifactError, InputError


@dataclass(frozen=True)
class Plan:
    """What is to be built."""

    catalogue: Path
    alias: str
    schema: Schema = BEIR
    encoder: str = "minilm"
    """Name or folder of the bi-encoder whose vectors are written."""
    reranker: str = "student"
    """Name or folder of the cross-encoder whose recipe composes ``rerank_text``."""
    rejects: Path | None = None
    """None: ``INDEX.rejects.jsonl`` in the working directory."""
    vector_engine: VectorEngine = "lucene"
    shards: int = 1
    replicas: int = 1
    """Once loaded; there are none while loading."""


def build(plan: Plan, client: OpenSearch, progress: Progress) -> Report:
    """Builds the index and moves the alias to it; on any failure the alias stays where it is.

    Raises `ConfigError`, `ArtifactError`, `ReleaseError`, `ClusterError`, and `InputError` where
    the catalogue has no good row.
    """
    started = time.monotonic()
    catalogue = find_catalogue(plan.catalogue)
    check_rejects_path(plan.rejects or Path("INDEX.rejects.jsonl"), catalogue)
    behind = index_behind(client, plan.alias)
    before = behind[0] if behind else None
    encoder = load_bi_encoder(open_named(plan.encoder))
    reranker = _open_cross_encoder(plan.reranker)
    encoder_recipe, rerank_recipe = encoder.artifact.manifest.recipe, reranker.manifest.recipe
    composer = Composer(plan.schema, encoder_recipe, rerank_recipe)
    clock = StageClock()

    body = index_body(plan.schema, encoder.dimensions, plan.vector_engine, plan.shards)
    for name in composer.missing_fields:
        progress.note(f"the models read the field {name}, which the schema does not have")
    with (
        fresh_index(client, plan.alias, body, progress) as index,
        Rejects(plan.rejects or Path(f"{index}.rejects.jsonl")) as rejects,
    ):
        progress.note(f"{catalogue} -> {index}, vectors by {encoder.name}")
        documents = load(
            read_documents(read_catalogue(catalogue, composer.columns), composer, rejects),
            encoder,
            client,
            index,
            rejects=rejects,
            clock=clock,
            progress=progress,
        )
        if not documents:
            raise _nothing_good(catalogue, rejects)
        with clock.timed("finish"):
            finish_index(client, index, plan.replicas, documents)
            templates = push(client, load_templates())
            try_templates(client, index, templates)
            release = Release(
                encoder_name=encoder.name,
                encoder_hash=encoder.hash,
                encoder_recipe_hash=encoder_recipe.hash,
                recipe_hash=rerank_recipe.hash,
                mapping_hash=mapping_hash(body),
                templates=templates,
                built_at=datetime.now(UTC),
                documents=documents,
                rejected=rejects.count,
                builder_version=version("rerank-sidecar"),
            )
            write_release(client, index, release)
    swap_alias(client, plan.alias, before, index, progress)

    seconds = time.monotonic() - started
    return Report(
        alias=plan.alias,
        index=index,
        replaced=before,
        documents=documents,
        rejected=rejects.count,
        rejects_file=str(rejects.path) if rejects.count else None,
        unknown_columns=tuple(composer.unknown_columns),
        seconds=seconds,
        documents_per_second=documents / seconds,
        busy_s=clock.busy_s,
    )


def _open_cross_encoder(name_or_path: str) -> Artifact:
    artifact = open_named(name_or_path)
    if artifact.manifest.kind != "cross-encoder":
        raise ArtifactError(
            f"{artifact.folder}: is a {artifact.manifest.kind}; --reranker takes a cross-encoder"
        )
    return artifact


def _nothing_good(catalogue: Path, rejects: Rejects) -> InputError:
    if rejects.first is None:
        return InputError(str(catalogue), "has no rows")
    return InputError(
        str(catalogue),
        f"has no good row; line {rejects.first.line}: {rejects.first.reason}; "
        f"all {rejects.count} are in {rejects.path}",
    )
