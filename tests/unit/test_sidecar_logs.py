"""The log: what a line is, whatever is logged."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from sidecar.telemetry.outlet import Outlet

SCRIPT = r"""
import logging
import structlog
from sidecar.telemetry.logs import logging_to_stdout

with logging_to_stdout():
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
"""
PATIENCE_S = 60.0


def test_every_event_is_one_line_of_json():
    """Ours and the libraries', with what no JSON library takes; written before the end."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)

    call, bug, warning = map(json.loads, done.stdout.decode().splitlines())
    assert (call["event"], call["level"], call["client"]) == ("call", "info", "shop")
    assert (call["query"], call["number"]) == ("h\ud800", 2**70)
    assert call["timestamp"].endswith("Z")
    assert (bug["event"], bug["rpc"], bug["level"]) == ("bug", "Rerank", "error")
    assert bug["exception"].endswith("ZeroDivisionError: division by zero")
    assert (warning["event"], warning["level"]) == ("a word of a library", "warning")


def test_a_reader_that_stands_still_stops_nobody():
    """What it does not take is kept up to the limit, then lost and counted; the rest arrives."""
    reading, writing = os.pipe()
    outlet = Outlet(writing, most_lines=100)
    for number in range(1000):  # of a KiB each: a pipe holds 64 of them
        outlet.put(f"{number:1023d}")
    outlet.close(0.0)
    assert outlet.lost > 0
    taken = []
    with os.fdopen(reading) as reader:
        while len(taken) + outlet.lost < 1000:
            taken.append(int(reader.readline()))
        outlet.close(PATIENCE_S)
    os.close(writing)
    assert taken == sorted(taken)
    assert taken[:100] == list(range(100))


def test_lines_that_nobody_reads_are_counted():
    """A pipe whose reader has gone: each is lost, and the writer goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    outlet = Outlet(writing)
    for _ in range(10):
        outlet.put("line")
    outlet.close(PATIENCE_S)
    os.close(writing)
    assert outlet.lost == 10


AGAIN = """
import structlog
from sidecar.telemetry.logs import logging_to_stdout

ours = structlog.get_logger("sidecar.frame")
for number in range(2):
    with logging_to_stdout():
        ours.info("call", number=number)
"""


def test_a_second_log_of_a_process_gets_its_lines():
    """Loggers keep what they were given first; their lines go to the outlet of the moment."""
    done = subprocess.run(
        [sys.executable, "-c", AGAIN],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert [json.loads(line)["number"] for line in done.stdout.splitlines()] == [0, 1]
