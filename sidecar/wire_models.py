"""ModelInfo's answer."""

from __future__ import annotations

from rerank_core.engine import BiEncoder
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.models import AnyServed, Models
from sidecar.wire import write_model

_KINDS = {
    "cross-encoder": pb.MODEL_KIND_CROSS_ENCODER,
    "bi-encoder": pb.MODEL_KIND_BI_ENCODER,
}


def write_model_info(served: AnyServed, models: Models) -> pb.ModelInfoResponse:
    """What there is to know about one of the loaded models."""
    model = served.model
    manifest = model.artifact.manifest
    recipe = manifest.recipe
    is_bi_encoder = manifest.kind == "bi-encoder"
    return pb.ModelInfoResponse(
        version=write_model(served),
        kind=_KINDS[manifest.kind],
        is_default=served.name in models.defaults,
        # A bi-encoder reads a query as it reads any text.
        query_tokens=recipe.product_tokens if is_bi_encoder else recipe.query_tokens,
        product_tokens=recipe.product_tokens,
        recipe_fields=recipe.fields,
        recipe_hash=recipe.hash,
        deterministic=model.deterministic,
        calibrated=manifest.probability is not None,
        dimensions=model.dimensions if isinstance(model, BiEncoder) else 0,
        licence=manifest.licence.name,
        loaded=models.names,
        path_reason=model.path_reason,
        path_is_fallback=model.path_fallback,
    )
