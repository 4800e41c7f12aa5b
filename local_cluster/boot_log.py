"""Reads from a node's output why it ended."""

from __future__ import annotations

import re
import signal
from pathlib import Path

_LAST_LINES = 8
_FRAME = re.compile(r"\s+(at |\.\.\. \d+ more)")
_KILLED = 128 + signal.SIGKILL
_HEAP = "give it another heap, such as OPENSEARCH_JAVA_OPTS='-Xms1g -Xmx1g', or free memory"
_MENDS = {
    # A node that boots well says "heap size [1gb]".
    r"OutOfMemoryError|insufficient memory|could not reserve|(initial|maximum) heap": _HEAP,
    r"Address already in use": "its port was taken meanwhile; choose another, or 0",
    r"No space left on device": "make room, or set TMPDIR to a folder on another disk",
}


def why_it_ended(status: int, log: Path) -> str:
    """One message: the exit status, the mend where the output shows one, the last lines said."""
    text = log.read_text(encoding="utf-8", errors="replace")
    mends = [mend for sign, mend in _MENDS.items() if re.search(sign, text, re.IGNORECASE)]
    if status == _KILLED:
        mends.append("it was killed, which the system does when memory runs out")
    lines = [line for line in text.splitlines() if line.strip() and not _FRAME.match(line)]
    head = "; ".join([f"the search node ended with status {status}", *mends])
    return "\n  ".join([head, *lines[-_LAST_LINES:]])
