"""Peers answer over their pipe, or say why not; nothing of them is left running."""

from __future__ import annotations

import os
import sys
import types

import pytest

from benchmarks.engine.peers import child, process
from benchmarks.engine.peers.process import PeerProcess
from rerank_core.errors import ToolMissingError

_LOADS = """
REQUIREMENTS = ()
def load(job):
    print("a library that talks")
    return lambda query, texts: [float(len(query) + len(text)) for text in texts]
"""
_REFUSES = """
REQUIREMENTS = ()
def load(job):
    raise ValueError("no such model")
"""
_DIES = """
REQUIREMENTS = ()
def load(job):
    raise SystemExit("gone")
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a peer of the given source in this very environment."""
    monkeypatch.setattr(
        process, "command", lambda _, path: [sys.executable, "-P", child.__file__, str(path)]
    )

    def starting(source):
        path = tmp_path / "peer.py"
        path.write_text(source)
        module = types.SimpleNamespace(REQUIREMENTS=(), __file__=str(path))
        return PeerProcess(module, {"requests": {"W1": [("ab", ["c", "def"])]}})

    return starting


def test_a_peer_scores_a_request_of_its_job(start):
    """2 + 1 and 2 + 3 letters; what a library prints is no answer."""
    peer = start(_LOADS)
    took_ms, logits = peer.score("W1", 0)
    peer.close()
    assert logits == [3.0, 5.0]
    assert took_ms >= 0


def test_a_closed_peer_is_gone(start):
    """Closing twice is closing once."""
    peer = start(_LOADS)
    pid = peer._process.pid
    peer.close()
    peer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("source", "reason"), [(_REFUSES, "no such model"), (_DIES, "gone")])
def test_a_peer_that_cannot_load_says_why(start, source, reason):
    """The reason is what the table shows."""
    with pytest.raises(ToolMissingError, match=reason):
        start(source)
