"""Whole requests, from texts to scores: R, our paths, and every peer whose scores are right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.engine.bench import YARDSTICK, Bench, Entry, hold_trial
from benchmarks.engine.exports import export_for_peers
from benchmarks.engine.folders import copy_model
from benchmarks.engine.parity import Arithmetic, ParityError, require_parity
from benchmarks.engine.peers import (
    fastembed_onnx,
    flashrank_onnx,
    infinity,
    sentence_transformers_exported,
    sentence_transformers_torch,
)
from benchmarks.engine.peers.process import PeerProcess
from benchmarks.engine.scoring import Logits, score_texts
from benchmarks.engine.tei_policy import TeiPolicy
from benchmarks.engine.tokenising import unread
from benchmarks.engine.workload import Workload
from benchmarks.results import Absent, Trial
from benchmarks.rounds import Contender, timed
from rerank_core.engine import CrossEncoder, Engine
from rerank_core.errors import ToolMissingError

PEERS: tuple[tuple[str, ModuleType], ...] = (
    ("sentence-transformers", sentence_transformers_torch),
    ("sentence-transformers", sentence_transformers_exported),
    ("FlashRank", flashrank_onnx),
    ("fastembed", fastembed_onnx),
    ("Infinity", infinity),
)


@dataclass(frozen=True)
class _Peer:
    name: str
    process: PeerProcess
    arithmetic: Arithmetic


def peer_trials(bench: Bench) -> Iterator[Trial]:
    """One trial a workload; tokenising is in all times, and nobody has read the texts before."""
    peers = list(_started(bench))
    policy = TeiPolicy(bench.exported, bench.cores)
    engine = bench.engine(bench.cores)
    for workload in bench.workloads:
        entries = [Entry(YARDSTICK, "with tokenising", _yardstick(policy, workload), YARDSTICK)]
        entries += [
            Entry(choice, model.numeric_path, _ours(bench, engine, model, workload), YARDSTICK)
            for choice, model in bench.models.items()
        ]
        wanted = bench.wanted(workload)
        for peer in peers:
            try:
                difference = require_parity(_logits(peer, workload), wanted, peer.arithmetic)
            except (ParityError, ToolMissingError) as error:
                bench.absent.append(Absent(f"{peer.name}, {workload.name}", str(error)))
                continue
            detail = " ".join(next(iter(peer.process.versions.items())))
            contender = _theirs(peer, workload)
            entries.append(Entry(peer.name, detail, contender, YARDSTICK, difference=difference))
        yield hold_trial(bench, "texts to scores", workload, entries)


def _started(bench: Bench) -> Iterator[_Peer]:
    """Those that start; the others are named as absent."""
    job: dict[str, Any] = {
        "folder": str(copy_model(bench.artifact, bench.scratch / "fp32")),
        "exported": str(
            export_for_peers(bench.artifact, bench.exported, bench.scratch / "exported")
        ),
        "cores": bench.cores,
        "requests": {
            workload.name: [(request.query, request.texts) for request in workload.requests]
            for workload in bench.workloads
        },
    }
    for peer, module in PEERS:
        for number, (setting, arithmetic) in enumerate(module.SETTINGS.items()):
            name = f"{peer}: {setting}"
            bench.tell(f"starting {name}")
            scratch = bench.scratch / f"{module.__name__}-{number}"
            scratch.mkdir()
            try:
                process = PeerProcess(module, job | {"setting": setting, "scratch": str(scratch)})
            except ToolMissingError as error:
                bench.absent.append(Absent(name, str(error).replace(str(bench.scratch), "")))
                continue
            bench.stack.callback(process.close)
            yield _Peer(name, process, arithmetic)


def _yardstick(policy: TeiPolicy, workload: Workload) -> Contender:
    def work(number: int) -> object:
        request = workload.at(number)
        return policy.score(workload.text.pairs(request.query, request.texts))

    return timed(work)


def _ours(bench: Bench, engine: Engine, model: CrossEncoder, workload: Workload) -> Contender:
    def once(number: int) -> float:
        cold = unread(model, bench.artifact, workload)
        return timed(lambda _: score_texts(engine, cold, workload.at(number)))(number)

    return once


def _theirs(peer: _Peer, workload: Workload) -> Contender:
    return lambda number: peer.process.score(workload.name, number % len(workload.requests))[0]


def _logits(peer: _Peer, workload: Workload) -> list[Logits]:
    return [
        np.array(peer.process.score(workload.name, number)[1], np.float32)
        for number in range(len(workload.requests))
    ]
