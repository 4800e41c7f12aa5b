"""Query templates as code: files, ids, schemas, rendering in process, and the cluster's store."""

from rerank_core.cluster.templates.folder import load_templates
from rerank_core.cluster.templates.rendering import render
from rerank_core.cluster.templates.store import (
    is_stored,
    missing_pipelines,
    pipeline_name,
    push,
    push_pipelines,
    store,
)
from rerank_core.cluster.templates.template import Template

__all__ = [
    "Template",
    "is_stored",
    "load_templates",
    "missing_pipelines",
    "pipeline_name",
    "push",
    "push_pipelines",
    "render",
    "store",
]
