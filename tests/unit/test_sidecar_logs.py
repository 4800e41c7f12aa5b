"""The log: what a line is, whatever is logged."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = r"""
import logging, sys
import structlog
from sidecar.telemetry.logs import configure_logs

configure_logs()
ours = structlog.get_logger("sidecar.frame")
structlog.contextvars.bind_contextvars(client="shop")
ours.info("call", query="h\ud800", number=2**70)
ours.debug("unseen")
try:
    1 / 0
except ZeroDivisionError:
    ours.exception("bug", rpc="Rerank")
logging.getLogger("grpc").warning("a %s of a library", "word")
logging.getLogger("grpc").info("unseen")
sys.stdout.close()
ours.info("lost")
"""


def test_every_event_is_one_line_of_json():
    """Ours and the libraries', with what no JSON library takes; what cannot be written is lost."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)

    call, bug, warning = map(json.loads, done.stdout.decode().splitlines())
    assert (call["event"], call["level"], call["client"]) == ("call", "info", "shop")
    assert (call["query"], call["number"]) == ("h\ud800", 2**70)
    assert call["timestamp"].endswith("Z")
    assert (bug["event"], bug["rpc"], bug["level"]) == ("bug", "Rerank", "error")
    assert bug["exception"].endswith("ZeroDivisionError: division by zero")
    assert (warning["event"], warning["level"]) == ("a word of a library", "warning")
