"""Stage 6: the student's logit as a probability, fitted on human dev labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distillation.calibration import Platt, cross_validated, fit_platt, quality
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.pipeline.student import SELECT
from distillation.pipeline.teacher import choosing
from rerank_core.measures import read_run


def do_calibrate(student: Finished, material: Material, folder: Path) -> dict[str, Any]:
    """Slope and intercept by dev-select of the sets that teach; quality by held-out queries."""
    del folder  # the facts are all of it
    run, judged = read_run(student.folder / SELECT), choosing(material)
    logits, shares, queries = pairs_of(judged, run)
    line = fit_platt(logits, shares)
    held = quality(cross_validated(logits, shares, queries), shares)
    raw = quality(Platt(1.0, 0.0)(np.asarray(logits, np.float64)), shares)
    sets = sorted({query.split("/")[0] for query in judged})
    return {
        "slope": line.slope,
        "intercept": line.intercept,
        "data": f"human grades of dev-select: {', '.join(sets)}; {len(logits)} pairs",
        "held_out": asdict(held),
        "uncalibrated": asdict(raw),
    }


def pairs_of(
    judged: Mapping[str, Mapping[str, float]], run: Mapping[str, Mapping[str, float]]
) -> tuple[list[float], list[float], list[str]]:
    """Logits, shares and queries of all judged pairs."""
    rows = [
        (run[q][name], share, q) for q, found in judged.items() for name, share in found.items()
    ]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
