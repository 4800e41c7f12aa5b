"""The clients. What they can ask, and how an answer is read, is in `calls`, once for both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import grpc

from rerank_client import calls
from rerank_client.calls import Call
from rerank_client.errors import from_rpc_error

P = ParamSpec("P")
Answer = TypeVar("Answer")

# The answer is as large as what was asked for; gRPC's own limit of 4 MiB knows nothing of that.
_OPTIONS = [("grpc.max_receive_message_length", -1)]


def _blocking(make: Callable[P, Call[Answer]]) -> Callable[Concatenate[RerankClient, P], Answer]:
    @wraps(make)
    def method(self: RerankClient, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return self._run(make(*args, **kwargs))

    return method


def _awaitable(
    make: Callable[P, Call[Answer]],
) -> Callable[Concatenate[AsyncRerankClient, P], Awaitable[Answer]]:
    @wraps(make)
    async def method(self: AsyncRerankClient, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return await self._run(make(*args, **kwargs))

    return method


class RerankClient:
    """Calls a sidecar; safe to share between threads, to be closed by its owner.

    `timeout_s` is the deadline of every call that brings none of its own, and it travels with the
    call: the server answers with what it has by then. None leaves it to the server's default
    budget. Nothing is retried. Calls raise the errors of `rerank_client.errors`.
    """

    def __init__(self, target: str, *, timeout_s: float | None = 1.0) -> None:
        """`target` is ``host:port``; the connection is made with the first call."""
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._rpcs = calls.rpcs(self._channel)

    rerank = _blocking(calls.rerank)
    embed = _blocking(calls.embed)
    search = _blocking(calls.search)
    model_info = _blocking(calls.model_info)

    def _run(self, call: Call[Answer]) -> Answer:
        timeout_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        try:
            response = self._rpcs[call.rpc](call.request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        return call.read(response)

    def close(self) -> None:
        """Ends the connection and what is under way on it."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncRerankClient:
    """As `RerankClient`, for one event loop; made within it. Cancelling a call ends its work."""

    def __init__(self, target: str, *, timeout_s: float | None = 1.0) -> None:
        self._timeout_s = timeout_s
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._rpcs = calls.rpcs(self._channel)

    rerank = _awaitable(calls.rerank)
    embed = _awaitable(calls.embed)
    search = _awaitable(calls.search)
    model_info = _awaitable(calls.model_info)

    async def _run(self, call: Call[Answer]) -> Answer:
        timeout_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        try:
            response = await self._rpcs[call.rpc](call.request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        return call.read(response)

    async def close(self) -> None:
        """Ends the connection and what is under way on it."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
