"""Standard health, whose watchers never hold up a drain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """One word for the server as a whole ("") and for each service.

    NOT_SERVING until `serve`, and for good from `leave` on. The library's own servicer keeps its
    watchers connected for the whole grace period of a stop; here `leave` tells them and lets them
    go.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._names = frozenset(("", *services))
        self._serving = self._leaving = False
        self._changed = asyncio.Condition()

    async def serve(self) -> None:
        """The server answers from now on."""
        async with self._changed:
            self._serving = True
            self._changed.notify_all()

    async def leave(self) -> None:
        """The server stops: for good."""
        async with self._changed:
            self._leaving = True
            self._changed.notify_all()

    @property
    def is_serving(self) -> bool:
        """Whether the server answers."""
        return self._serving and not self._leaving

    def _status(self, name: str) -> int:
        if name not in self._names:
            return _Response.SERVICE_UNKNOWN
        return _Response.SERVING if self.is_serving else _Response.NOT_SERVING

    async def Check(  # noqa: N802  the protocol's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> health_pb2.HealthCheckResponse:
        """The status now; NOT_FOUND for a service that is none of ours."""
        if request.service not in self._names:
            # The name itself may be longer than a status can be.
            await context.abort(grpc.StatusCode.NOT_FOUND, "no service of that name")
        return _Response(status=self._status(request.service))

    async def Watch(  # noqa: N802  the protocol's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """The status now and whenever it changes, until the server leaves."""
        told = None
        while told is None or not self._leaving:
            async with self._changed:
                while told == self._status(request.service) and not self._leaving:
                    await self._changed.wait()
                told = self._status(request.service)
            await context.write(_Response(status=told))
