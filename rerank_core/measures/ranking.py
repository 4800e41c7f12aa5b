"""The order of a run: best score first, equal scores by document id."""

from __future__ import annotations

from collections.abc import Mapping

Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to the score a ranker gave."""


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Document ids, highest score first; equal scores in ascending order of id."""
    return sorted(scores, key=lambda name: (-scores[name], name))
