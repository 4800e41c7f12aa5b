"""Records what the guard says of planted faults: ``python -m tests.planted_runs FILE``.

Ten runs of the same build beside itself, and one a fault, each of fresh processes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.ending import data_of_environment
from benchmarks.guard.run import take_turns
from benchmarks.guard.verdict import judge
from benchmarks.machine import this_machine
from benchmarks.serving import Build
from benchmarks.workload.draw import Wish, draw
from rerank_core.artifact import named_folder
from rerank_core.measures import BeirFolder
from rerank_core.records import to_json

_ROOT = Path(__file__).parents[1]
_RUNS = ("sleep", "lock", "packing", *(f"nothing {number}" for number in range(10)))
_ROUNDS = 64
_QUESTIONS = 48
_CANDIDATES = 30


def main(out: Path) -> None:
    """Writes the file anew after each run."""
    wish = Wish(turns=_ROUNDS, questions=_QUESTIONS, candidates=(_CANDIDATES,))
    traffic = draw(BeirFolder(data_of_environment()), wish)
    runs = {}
    for name in _RUNS:
        fault = name.split()[0]
        command = (sys.executable, "-m", "tests.planted", fault)
        with tempfile.TemporaryDirectory() as scratch:
            result = take_turns(
                Build(name, command, {"PYTHONPATH": str(_ROOT)}),
                Build(),
                traffic,
                model=str(named_folder("student")),
                rounds=_ROUNDS,
                scratch=Path(scratch),
                tell=lambda _: None,
            )
        runs[name] = [
            {
                "block": one.block,
                "reference_ms": [round(ms, 2) for ms in one.reference_ms],
                "this_ms": [round(ms, 2) for ms in one.this_ms],
            }
            for one in result.rounds
        ]
        sys.stderr.write(f"{name}: {judge(result.rounds, 0.05)}, load {os.getloadavg()}\n")
        head = {"format": 2, "machine": to_json(this_machine()), "candidates": _CANDIDATES}
        rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(made)}" for key, made in runs.items())
        text = json.dumps(head, indent=1)[:-2] + f',\n "runs": {{\n{rows}\n}}}}\n'
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
