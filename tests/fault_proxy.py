"""A proxy before a real cluster that does to its answers what networks and busy clusters do."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_READ = 1 << 16


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_bulk(self) -> bool:
        """Whether it writes documents."""
        return self.path.partition("?")[0].endswith("/_bulk")


@dataclass
class Fault:
    """What is done to a request; the first field that is set counts."""

    delay_s: float = 0.0
    status: int | None = None
    """Answered without asking the cluster."""
    busy_share: float = 0.0
    """Of a bulk request's items, answered 429 without asking the cluster for them."""
    cut_answer: bool = False
    """The cluster does it, and the connection breaks in the middle of its answer."""
    cut_request: bool = False
    """The connection breaks before the cluster hears of it."""


@dataclass
class FaultProxy:
    """Forwards to a cluster; `choose` says what becomes of each request, None: nothing."""

    upstream: str
    choose: Callable[[Request, int], Fault | None]
    requests: list[Request] = field(default_factory=list)
    """Bulk requests, in their order."""
    faults: int = 0
    most_at_once: int = 0
    _at_once: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    url: str = ""

    @contextmanager
    def running(self) -> Iterator[FaultProxy]:
        """Serves on a port of its own until the block ends."""
        ready = threading.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._stop = asyncio.Event()
            ready.set()
            await self._stop.wait()
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        def work() -> None:
            loop.run_until_complete(serve())
            loop.close()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(self._stop.set)
            thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader)) is not None:
                fault = self.choose(request, len(self.requests))
                if request.is_bulk:
                    self.requests.append(request)
                if fault is not None:
                    self.faults += 1
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                try:
                    if not await self._answer(request, fault or Fault(), writer):
                        return
                finally:
                    self._at_once -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _answer(self, request: Request, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        """False where the connection is to end."""
        await asyncio.sleep(fault.delay_s)
        if fault.cut_request:
            return False
        if fault.status is not None:
            await _write(writer, fault.status, b'{"error":{"reason":"planted"}}')
            return True
        if fault.busy_share:
            status, body = await self._partly_busy(request, fault.busy_share)
        else:
            try:
                status, body = await _forward(self.upstream, request)
            except OSError:
                return False  # the cluster is down
        if fault.cut_answer:
            await _write(writer, status, body, cut=True)
            return False
        await _write(writer, status, body)
        return True

    async def _partly_busy(self, request: Request, share: float) -> tuple[int, bytes]:
        lines = request.body.splitlines(keepends=True)
        pairs = [lines[at : at + 2] for at in range(0, len(lines), 2)]
        busy = [self.chance.random() < share for _ in pairs]
        kept = b"".join(
            b"".join(pair) for pair, is_busy in zip(pairs, busy, strict=True) if not is_busy
        )
        answers: list[Any] = []
        if kept:
            rest = Request(request.method, request.path, request.headers, kept)
            status, body = await _forward(self.upstream, rest)
            if status != 200:
                return status, body
            answers = json.loads(body)["items"]
        full = {"index": {"status": 429, "error": {"type": "rejected", "reason": "planted"}}}
        remaining = iter(answers)
        items = [full if is_busy else next(remaining) for is_busy in busy]
        return 200, json.dumps({"items": items}).encode()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in rest if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


async def _forward(upstream: str, request: Request) -> tuple[int, bytes]:
    parts = urlsplit(upstream)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        kind = request.headers.get("content-type", "application/json")
        writer.write(
            f"{request.method} {request.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"content-type: {kind}\r\ncontent-length: {len(request.body)}\r\n"
            "connection: close\r\n\r\n".encode()
            + request.body
        )
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        fields = dict(
            line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
        )
        if request.method == "HEAD":
            return status, b""
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
        else:
            body = await reader.readexactly(int(fields[b"content-length"]))
        return status, body
    finally:
        writer.close()


async def _write(
    writer: asyncio.StreamWriter, status: int, body: bytes, *, cut: bool = False
) -> None:
    fields = f"content-type: application/json\r\ncontent-length: {len(body)}"
    head = f"HTTP/1.1 {status} X\r\n{fields}\r\n\r\n"
    writer.write(head.encode() + (body[: len(body) // 2] if cut else body))
    await writer.drain()
