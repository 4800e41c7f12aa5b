"""Who may come in, and how much of it: worked out by hand."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from rerank_core.errors import OverloadError, TooLargeError
from sidecar.config import Limits
from sidecar.gate import Gate

LIMITS = Limits(max_calls=8, max_message_bytes=1024, max_bytes_under_way=4096)


def test_one_client_leaves_room_for_others():
    """Of 8 calls it may hold 6; then another client has its 2, and the ninth call is nobody's."""
    gate = Gate()
    with ExitStack() as held:
        for _ in range(6):
            held.enter_context(gate.inside(LIMITS, "flood"))
        with pytest.raises(OverloadError, match="6 calls of this client"):
            held.enter_context(gate.inside(LIMITS, "flood"))
        for _ in range(2):
            held.enter_context(gate.inside(LIMITS, "shop"))
        with pytest.raises(OverloadError, match="8 calls are under way"):
            held.enter_context(gate.inside(LIMITS, "shop"))
    assert (gate.calls, gate.bytes, gate.calls_of, gate.bytes_of) == (0, 0, {}, {})


def test_its_bytes_do_too():
    """Of 4,096 bytes it may hold 3,072, three whole messages; another client still has 1,024."""
    gate = Gate()
    with ExitStack() as held:
        rooms = [held.enter_context(gate.inside(LIMITS, "flood")) for _ in range(4)]
        for room in rooms[:3]:
            room.take(1024)
        with pytest.raises(OverloadError, match="3072 bytes of this client"):
            rooms[3].take(1)
        other = held.enter_context(gate.inside(LIMITS, "shop"))
        other.take(1024)
        with pytest.raises(OverloadError, match="4096 bytes are under way"):
            held.enter_context(gate.inside(LIMITS, "third")).take(1)
        with pytest.raises(TooLargeError):
            other.take(1)
    assert (gate.calls, gate.bytes, gate.calls_of, gate.bytes_of) == (0, 0, {}, {})


def test_a_message_as_large_as_all_the_room_is_let_in_alone():
    """The share is of several: what a single request may be is another limit."""
    limits = Limits(max_calls=1, max_message_bytes=4096, max_bytes_under_way=4096)
    gate = Gate()
    with gate.inside(limits, "shop") as room:
        room.take(4096)
    assert gate.bytes == 0
