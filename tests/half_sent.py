"""HTTP/2 byte by byte: gRPC calls that somebody began and did not finish or hear, and pings."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
PING, GOAWAY = 6, 7
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW_SIZE = 4


def connected(target: str) -> socket.socket:
    """A connection to ``host:port``; whoever opens it closes it."""
    host, port = target.split(":")
    return socket.create_connection((host, int(port)))


def half_a_call(target: str, declared_bytes: int = 900_000) -> socket.socket:
    """A Rerank whose headers are sent, and ten bytes of a message that is said to be so long."""
    connection = connected(target)
    message = struct.pack(">BI", 0, declared_bytes) + b"\n\x05drill..."
    connection.sendall(
        PREFACE
        + _frame(_SETTINGS, 0, 0)
        + _frame(_SETTINGS, _ACK, 0)
        + _frame(_HEADERS, _END_HEADERS, 1, _headers(target))
        + _frame(_DATA, 0, 1, message)
    )
    return connection


def deaf_calls(target: str, method: str, message: bytes, count: int = 1) -> socket.socket:
    """Whole calls of one connection that never lets a byte of their answers be sent."""
    connection = connected(target)
    window = struct.pack(">HI", _INITIAL_WINDOW_SIZE, 0)
    content = struct.pack(">BI", 0, len(message)) + message
    connection.sendall(PREFACE + _frame(_SETTINGS, 0, 0, window) + _frame(_SETTINGS, _ACK, 0))
    for number in range(count):
        stream = 2 * number + 1
        connection.sendall(
            _frame(_HEADERS, _END_HEADERS, stream, _headers(target, method))
            + _frame(_DATA, _END_STREAM, stream, content)
        )
    return connection


def greeted(target: str) -> socket.socket:
    """A connection whose preface and settings are sent."""
    connection = connected(target)
    connection.sendall(PREFACE + _frame(_SETTINGS, 0, 0) + _frame(_SETTINGS, _ACK, 0))
    return connection


def ping(connection: socket.socket, *, count: int = 1, answer_to: bytes = b"") -> None:
    """Pings at once, or the answer to one."""
    content = answer_to or b"8 bytes."
    connection.sendall(count * _frame(PING, _ACK if answer_to else 0, 0, content))


def frames(connection: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and content of what the peer sends, until it closes the connection."""
    with connection.makefile("rb") as stream:
        while len(head := stream.read(9)) == 9:
            size = int.from_bytes(head[:3], "big")
            yield head[3], head[4], stream.read(size)


def reset(connection: socket.socket) -> None:
    """Ends a connection as a crash does: the peer gets RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """RFC 9113, 4.1."""
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _headers(target: str, method: str = "rerank.v1.RerankService/Rerank") -> bytes:
    """Each a literal without indexing, RFC 7541, 6.2.2; none is as long as 127 bytes."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/{method}",
        ":authority": target,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
