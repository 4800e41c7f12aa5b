"""What was recorded on a real machine says what the README and `docs/performance.md` say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.points import read_suite
from benchmarks.report.readme import block, put

ROOT = Path(__file__).parents[2]


def test_the_readme_block_is_up_to_date():
    """What stands there is what `python -m benchmarks readme --write` makes of the named file."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    file = "docs/results/serving-zen3-2cores.json"
    assert put(text, block(read_suite(ROOT / file), file), ROOT / "README.md") == text


def test_the_command_says_so_and_does_not_write():
    """One line of JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "readme"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"file": "README.md", "up_to_date": True, "written": False}
