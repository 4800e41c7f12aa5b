"""A real numeric path that computes when the test says so, and a log of what was done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rerank_core.engine import BiEncoder, CrossEncoder
from rerank_core.engine.path import NumericPath, Rows
from rerank_core.text import PackedTokens, TextEncoder

_PATIENCE_S = 60.0
"""Far above what a busy machine needs: it bounds a test that hangs and decides nothing."""

Encoder = TypeVar("Encoder", CrossEncoder, BiEncoder)


def eventually(condition: Callable[[], bool]) -> None:
    """Waits until it holds; fails after a minute."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


@dataclass
class Gate:
    """Lets forward passes through one by one, or all."""

    permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: bool = False

    def admit(self, count: int) -> None:
        """Lets so many more through."""
        self.permits.release(count)

    def open(self) -> None:
        """Lets all through from now on."""
        self.opened = True
        self.permits.release(10_000)

    def wait(self) -> None:
        """Called by the worker."""
        assert self.opened or self.permits.acquire(timeout=_PATIENCE_S), "the gate stayed shut"


@dataclass(frozen=True)
class GatedPath:
    """Computes rows one by one by the path within; logs each before it waits at the gate."""

    within: NumericPath
    name: str
    log: list[str]
    gate: Gate | None = None
    harm: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None
    deterministic: bool = False
    first_rows: int = 128
    part_rows: int = 128

    @property
    def columns(self) -> int:
        """As within."""
        return self.within.columns

    def plan(self, tokens: PackedTokens) -> Sequence[Rows]:
        """A unit a row."""
        return [np.array([row], np.intp) for row in range(len(tokens))]

    def forward(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """The path within, and then what harm there is."""
        self.log.append(self.name)
        if self.gate:
            self.gate.wait()
        outputs = self.within.forward(tokens)
        return self.harm(outputs) if self.harm else outputs


class LoggedText:
    """A text encoder that logs each call."""

    def __init__(self, within: TextEncoder, name: str, log: list[str]) -> None:
        self._within, self._name, self._log = within, name, log

    def pairing(self, query: str) -> Callable[[Sequence[str]], PackedTokens]:
        """As within."""
        pair = self._within.pairing(query)

        def logged(products: Sequence[str]) -> PackedTokens:
            self._log.append(self._name)
            return pair(products)

        return logged

    def texts(self, texts: Sequence[str]) -> PackedTokens:
        """As within."""
        self._log.append(self._name)
        return self._within.texts(texts)


def gated(
    model: Encoder,
    name: str,
    log: list[str],
    gate: Gate | None = None,
    harm: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None,
) -> Encoder:
    """The model; it logs `name` a forward pass and ``name tokens`` a turn of tokenising."""
    return replace(
        model,
        path=GatedPath(model.path, name, log, gate, harm),
        text=LoggedText(model.text, f"{name} tokens", log),
    )
