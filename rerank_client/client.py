"""The clients. What they can ask, and how an answer is read, is in `calls`, once for both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import grpc

from rerank_client import calls
from rerank_client.calls import Call
from rerank_client.channel import Tls, metadata, options
from rerank_client.errors import ClientError, closed, from_rpc_error, unreadable

P = ParamSpec("P")
Answer = TypeVar("Answer")


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
    budget. A server that cannot be reached is asked again within that time, as
    `channel.SERVICE_CONFIG` says. `rerank` answers with the first stage's order where all fails;
    other calls raise the errors of `rerank_client.errors`.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float | None = 1.0,
        api_key: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        """`target` is ``host:port``; the connection is made with the first call.

        Raises `ValueError` for a key that no header can carry, and a timeout that is no number.
        """
        self._closed = False
        self._timeout_s = calls.seconds(timeout_s)
        self._metadata = metadata(api_key)
        self._channel = (
            grpc.insecure_channel(target, options())
            if tls is None
            else grpc.secure_channel(target, tls.credentials(), options())
        )
        self._rpcs = calls.rpcs(self._channel)

    rerank = _blocking(calls.rerank)
    embed = _blocking(calls.embed)
    search = _blocking(calls.search)
    model_info = _blocking(calls.model_info)

    def _run(self, call: Call[Answer]) -> Answer:
        if isinstance(call.request, ClientError):
            return call.instead(call.request)
        timeout_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        rpc = self._rpcs[call.rpc]
        try:
            response = rpc(call.request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return call.instead(from_rpc_error(error))
        except ValueError:
            # gRPC's word for a closed channel. Not asked before: another thread may close it now.
            if not self._closed:
                raise
            return call.instead(closed())
        return call.read(response)

    def close(self) -> None:
        """Ends the connection and what is under way on it; later calls reach no server."""
        self._closed = True
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

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float | None = 1.0,
        api_key: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._closed = False
        self._timeout_s = calls.seconds(timeout_s)
        self._metadata = metadata(api_key)
        self._channel = (
            grpc.aio.insecure_channel(target, options())
            if tls is None
            else grpc.aio.secure_channel(target, tls.credentials(), options())
        )
        self._rpcs = calls.rpcs(self._channel)

    rerank = _awaitable(calls.rerank)
    embed = _awaitable(calls.embed)
    search = _awaitable(calls.search)
    model_info = _awaitable(calls.model_info)

    async def _run(self, call: Call[Answer]) -> Answer:
        if isinstance(call.request, ClientError):
            return call.instead(call.request)
        if self._closed:
            return call.instead(closed())
        timeout_s = self._timeout_s if call.timeout_s is None else call.timeout_s
        rpc = self._rpcs[call.rpc]
        try:
            response = await rpc(call.request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            return call.instead(from_rpc_error(error))
        except asyncio.CancelledError:
            # gRPC's word for a channel closed amid a call, too; then nobody has cancelled the task.
            task = asyncio.current_task()
            if not self._closed or task is None or task.cancelling():
                raise
            return call.instead(closed())
        # What the blocking client raises, gRPC only logs here.
        return call.instead(unreadable()) if response is None else call.read(response)

    async def close(self) -> None:
        """Ends the connection and what is under way on it; later calls reach no server."""
        self._closed = True
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
