"""What is to be built, and by which models: checked before anything is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from index_builder.content import ContentHash
from index_builder.documents import Composer, Duplicates
from index_builder.gates.bounds import GateBounds
from index_builder.inputs import ClusterIndex, Input, StdinFormat, find_input
from index_builder.mapping import FILTERS, SYNONYMS, index_body, mapping_hash
from index_builder.schema import BEIR, Schema
from index_builder.sending import SendLimits
from rerank_core.artifact import Artifact, open_named
from rerank_core.cluster.dialect import Dialect, detect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.features import Features, find_features
from rerank_core.cluster.templates import Template, load_templates
from rerank_core.engine import BiEncoder, load_bi_encoder, tell
from rerank_core.errors import ArtifactError, ClusterRefused, ConfigError
from rerank_core.hashing import hash_json


@dataclass(frozen=True)
class Plan:
    """What is to be built."""

    catalogue: tuple[str, ...]
    """Files, folders and globs; ``-`` is standard input, ``index:NAME`` an index."""
    alias: str
    schema: Schema = BEIR
    encoder: str = "minilm"
    """Name or folder of the bi-encoder whose vectors are written."""
    reranker: str = "student"
    """Name or folder of the cross-encoder whose recipe composes ``rerank_text``."""
    rejects: Path | None = None
    """None: ``INDEX.rejects.jsonl`` in the working directory."""
    checkpoint: Path | None = None
    """None: ``ALIAS.checkpoint`` in the working directory."""
    stdin_format: StdinFormat = "jsonl"
    duplicates: Duplicates = "refuse"
    max_rejects: int | None = None
    """More rejected rows than this fail the build; None: any number is let pass."""
    changes: Path | None = None
    """Live changes that were made meanwhile, appended to by who makes them."""
    shards: int = 1
    replicas: int = 1
    """Once loaded; there are none while loading."""
    segments: int = 1
    """A shard has at the end; 0: as they come."""
    resume: bool = False
    templates: Path | None = None
    """Folder of search templates; None: those of the package."""
    gates: GateBounds = field(default_factory=GateBounds)
    limits: SendLimits = field(default_factory=SendLimits)


@dataclass(frozen=True)
class Prepared:
    """Input, models, and the index that they make."""

    input: Input
    dialect: Dialect
    encoder: BiEncoder
    reranker: Artifact
    schema: Schema
    body: dict[str, Any]
    features: Features
    templates: tuple[Template, ...]
    """Those that this cluster runs."""
    lacking: tuple[str, ...] = ()
    """Token filters that the cluster does not have."""

    @property
    def mapping_hash(self) -> str:
        """Of the index."""
        return mapping_hash(self.body)

    def composer(self) -> Composer:
        """A fresh one, that remembers nothing."""
        recipe = self.encoder.artifact.manifest.recipe
        return Composer(self.schema, recipe, self.reranker.manifest.recipe)

    @property
    def content(self) -> ContentHash:
        """For documents of this encoder and mapping."""
        return ContentHash(self.encoder.hash, self.mapping_hash)

    def plan_hash(self, plan: Plan) -> str:
        """Over all that decides what document a row becomes."""
        schema = {**asdict(self.schema), "vector": asdict(self.schema.vector)}
        recipes = [self.encoder.artifact.manifest.recipe.hash, self.reranker.manifest.recipe.hash]
        parts = [schema, self.encoder.hash, recipes, self.mapping_hash, plan.duplicates]
        return hash_json([*parts, plan.shards, plan.alias])


def prepare(plan: Plan, client: OpenSearch, source: Input | None = None) -> Prepared:
    """Opens what the plan names; `source` instead of its catalogue.

    Raises `ConfigError`, `ArtifactError`, `ClusterError`.
    """
    dialect = detect(client)
    found = source or find_input(plan.catalogue, client, dialect, plan.stdin_format)
    schema = plan.schema.as_indexed() if isinstance(found, ClusterIndex) else plan.schema
    if plan.duplicates == "last" and not found.again:
        raise ConfigError(
            f"{found.name} cannot be read twice, and to find a key's last row takes that; give a "
            "file, or --duplicates refuse"
        )
    encoder = open_encoder(plan.encoder)
    lacking = _lacking_filters(client)
    if schema.synonyms and not _has_filter(client, SYNONYMS, synonyms=["a, b"]):
        raise ConfigError(
            f"synonyms: {dialect.name} {dialect.version} comes without the token filter {SYNONYMS} "
            "(module analysis-common); install it, or take synonyms out of the schema"
        )
    body = index_body(schema, encoder.dimensions, dialect, plan.shards, lacking)
    reranker = _open_cross_encoder(plan.reranker)
    features = find_features(client)
    templates = tuple(
        template
        for template in load_templates(plan.templates, features.engine)
        if not features.lacks(template)
    )
    return Prepared(found, dialect, encoder, reranker, schema, body, features, templates, lacking)


def open_encoder(name_or_path: str) -> BiEncoder:
    """The bi-encoder; a fallback to another numeric path is told. Raises `ArtifactError`."""
    encoder = load_bi_encoder(open_named(name_or_path))
    tell(encoder)
    return encoder


def _lacking_filters(client: OpenSearch) -> tuple[str, ...]:
    """Token filters that this cluster comes without, as Elasticsearch for tests does."""
    return tuple(name for name in FILTERS if not _has_filter(client, name))


def _has_filter(client: OpenSearch, name: str, **settings: object) -> bool:
    body = {"tokenizer": "standard", "filter": [{"type": name, **settings}], "text": "a"}
    try:
        with cluster_errors(f"looking for token filter {name}"):
            client.indices.analyze(body=body)
    except ClusterRefused as refusal:
        if "failed to find global filter" in str(refusal):
            return False
        raise
    return True


def _open_cross_encoder(name_or_path: str) -> Artifact:
    artifact = open_named(name_or_path)
    if artifact.manifest.kind != "cross-encoder":
        raise ArtifactError(
            f"{artifact.folder}: is a {artifact.manifest.kind}; --reranker takes a cross-encoder"
        )
    return artifact
