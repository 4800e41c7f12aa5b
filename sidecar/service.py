"""What a service is to the server, and what it stands on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import grpc

from rerank_core.engine import Engine
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.config import Settings
from sidecar.live import Live
from sidecar.models import ModelShelf
from sidecar.scorer import Scorer

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every service stands on."""

    live: Live
    scorer: Scorer
    models: ModelShelf

    @property
    def settings(self) -> Settings:
        """Those of the moment."""
        return self.live.settings

    @property
    def engine(self) -> Engine:
        """The one engine."""
        return self.scorer.engine


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the contract and how it joins a server."""

    name: str
    """In full, as health and reflection know it."""
    join: Callable[[grpc.aio.Server], None]

    @classmethod
    def of(cls, name: str, add: Callable[..., None], servicer: object) -> Service:
        """The service of that name; `add` is the generated ``add_..._to_server``."""
        return cls(pb.DESCRIPTOR.services_by_name[name].full_name, partial(add, servicer))
