"""The OpenAPI page."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_REF = "#/components/schemas/{model}"

_SCORE = {"type": "number", "description": "Falling, distinct, six decimals."}
_INDEX = {"type": "integer", "minimum": 0, "description": "Place in the request."}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": required | (optional or {}),
    }


_TEXT = _object({"text": {"type": "string"}})
_RESULTS = {
    "type": "array",
    "description": "Best first; documents that were not scored follow in first-stage order.",
    "items": _object({"index": _INDEX, "relevance_score": _SCORE}, {"document": _TEXT}),
}
_STRING = {"type": "string"}
_ANSWERS: dict[str, dict[str, Any]] = {
    "/v2/rerank": _object({"id": _STRING, "results": _RESULTS, "meta": {"type": "object"}}),
    "/v1/rerank": _object(
        {
            "model": _STRING,
            "results": _RESULTS,
            "usage": _object({"total_tokens": {"type": "integer"}}),
        }
    ),
    "/rerank": {
        "type": "array",
        "items": _object({"index": _INDEX, "score": _SCORE}, {"text": _STRING}),
    },
}
_ERRORS: dict[str, dict[str, Any]] = {
    "/v2/rerank": _object({"message": _STRING}),
    "/v1/rerank": _object({"detail": _STRING}),
    "/rerank": _object({"error": _STRING, "error_type": _STRING}),
}
_STATUSES = {
    "400": "A header of the request is none that is described here.",
    "401": "No API key, or one that is not known.",
    "403": "The key may not do this.",
    "404": "No loaded model has that name.",
    "413": "The body is larger than the server's limit.",
    "422": "The body is no request of this kind, or over a limit.",
    "429": "Over the key's quota, or the server could not bear more; see Retry-After.",
    "500": "The server failed; its log knows more.",
    "503": "Starting or stopping.",
    "504": "With x-rerank-strict: the budget ended first.",
}
_ANSWER_HEADERS = {
    "x-rerank-degraded": "Why the answer is less than asked for; absent when it is all.",
    "x-rerank-scored": "How many documents were scored.",
    "x-rerank-model": "Hash of what scored them.",
    "x-rerank-numeric-path": "How it computed.",
    "server-timing": "Milliseconds by stage.",
}
REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "x-envoy-expected-rq-timeout-ms": (
        "Milliseconds that the caller waits; the server's default budget if absent.",
        {"type": "string", "pattern": "^[0-9]{1,9}$"},
    ),
    "x-rerank-strict": (
        "true: an error in place of a degraded answer.",
        {"type": "string", "enum": ["true", "false"]},
    ),
    "x-rerank-priority": (
        "batch: done in what interactive work leaves; interactive if absent.",
        {"type": "string", "enum": ["interactive", "batch"]},
    ),
}
"""What a request may say beside its body: description and schema by name."""


def describe(requests: Iterable[tuple[str, type[BaseModel]]]) -> dict[str, Any]:
    """The routes as an OpenAPI 3.1 document; `requests` are models by their paths."""
    by_path = dict(requests)
    _, definitions = models_json_schema(
        [(model, "validation") for model in by_path.values()], ref_template=_REF
    )
    paths = {path: {"post": _rerank(path, model)} for path, model in by_path.items()}
    pages = {
        "/health": ("The process runs.", _JSON_PAGE, None),
        "/ready": ("The models are loaded.", _JSON_PAGE, "Starting or stopping."),
        "/metrics": ("Prometheus metrics.", "application/openmetrics-text", None),
        "/openapi.json": ("This page.", _JSON_PAGE, None),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "rerank-sidecar", "version": version("rerank-sidecar")},
        "paths": paths | {path: {"get": _page(*facts)} for path, facts in pages.items()},
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


_JSON_PAGE = "application/json"


def _rerank(path: str, model: type[BaseModel]) -> dict[str, Any]:
    errors = {_JSON_PAGE: {"schema": _ERRORS[path]}}
    return {
        "summary": (model.__doc__ or "").splitlines()[0],
        "security": [{}, {"key": []}],
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": schema}
            for name, (text, schema) in REQUEST_HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {_JSON_PAGE: {"schema": {"$ref": _REF.format(model=model.__name__)}}},
        },
        "responses": {
            "200": {
                "description": "A permutation of the documents, whatever happened to scoring.",
                "headers": {
                    name: {"description": text, "schema": _STRING}
                    for name, text in _ANSWER_HEADERS.items()
                },
                "content": {_JSON_PAGE: {"schema": _ANSWERS[path]}},
            }
        }
        | {status: {"description": text, "content": errors} for status, text in _STATUSES.items()},
    }


def _page(summary: str, media: str, not_now: str | None) -> dict[str, Any]:
    responses = {"200": {"description": summary, "content": {media: {"schema": {}}}}}
    if not_now is not None:
        responses["503"] = {"description": not_now, "content": {media: {"schema": {}}}}
    return {"summary": summary, "responses": responses}
