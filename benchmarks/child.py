"""What a process that was started for a measurement says when it fails."""

from __future__ import annotations

from subprocess import CompletedProcess


def last_words(done: CompletedProcess[str]) -> str:
    """The last line of its stderr: there a command of ours says what must be mended."""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
