"""A release as an index's mapping holds it."""

from __future__ import annotations

RECORD = {
    "encoder_name": "minilm",
    "encoder_hash": "e" * 64,
    "encoder_recipe_hash": "f" * 64,
    "recipe_hash": "c" * 64,
    "mapping_hash": "d" * 64,
    "templates": {"lexical": "lexical@0123456789ab"},
    "built_at": "2026-11-23T09:48:00Z",
    "documents": 3,
    "rejected": 1,
    "builder_version": "0.1.0",
}
