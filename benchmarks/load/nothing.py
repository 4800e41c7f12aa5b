"""Servers that do nothing, beside which the client's own speed is seen.

``python -m benchmarks.load.nothing grpc|http``: prints its port, answers every request at once.
"""

from __future__ import annotations

import asyncio
import sys

import grpc
import grpc.aio

from benchmarks.load.surfaces import METHOD

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def serve_grpc() -> None:
    """An empty answer is a whole one: it names no reason to be less."""

    async def answer(_: bytes, __: object) -> bytes:
        return b""

    class Everything(grpc.GenericRpcHandler):
        def service(
            self, handler_call_details: grpc.HandlerCallDetails
        ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
            if handler_call_details.method != METHOD:
                return None
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Everything(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _tell(port)
    await server.wait_for_termination()


async def serve_http() -> None:
    """Reads what was sent, since a real server must."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    if name == b"content-length":
                        await reader.readexactly(int(value))
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    _tell(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _tell(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve_grpc() if sys.argv[1] == "grpc" else serve_http())
