"""One way of loading a catalogue, measured in a process of its own: `python -m ... NAME ...`.

Each text is encoded, also one that came before. Models are loaded before the clock starts, so peak
memory holds them and seconds do not. The last line of stdout is one `Sample` as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from opensearchpy import OpenSearch, helpers
from rich.console import Console

from index_builder.content import ContentHash
from index_builder.documents import Document, read_documents
from index_builder.load import ENCODING, Loader, dead_letters
from index_builder.plan import Plan, Prepared, prepare
from index_builder.progress import Progress
from index_builder.rejects import Rejects
from index_builder.report import server_cpu_s
from index_builder.sending import Sender
from index_builder.stages import StageClock
from index_builder.vector_cache import VectorCache
from rerank_core.artifact import named_folder
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import Engine

NAMES = ("ours", "parallel_bulk", "streaming_bulk")
_CHUNK = 500
_ENCODE = 1000


@dataclass(frozen=True)
class Sample:
    """One load of one contender."""

    name: str
    documents: int
    seconds: float
    """From the first row read to the last document written."""
    encode_s: float
    """Waited for vectors; mean over the threads that do."""
    write_s: float
    """Waited for the cluster; side by side with encoding where the contender does so."""
    merge_s: float
    """Refresh and merge to one segment, after that; 0 where it was left out."""
    builder_cpu_s: float
    cluster_cpu_s: float
    """While loading."""
    peak_bytes: int
    """Resident, of the process, models and all."""


@dataclass(frozen=True)
class Waited:
    """Where a load's time went."""

    encode_s: float
    write_s: float


def main(
    name: str, catalogue: str, index: str, url: str, vectors: str, finish: str, encoder: str
) -> None:
    """Loads `catalogue` into the fresh `index`; vectors of its queries go to the file `vectors`.

    `finish` is ``merge``; or ``memory``, and then the cluster neither merges nor builds a graph,
    which this process's memory does not know of. `encoder` is of ours.
    """
    settings = ClusterSettings(url, timeout_s=300)
    queries = json.loads(Path(f"{catalogue}.queries").read_text(encoding="utf-8"))
    with connect(settings) as client, tempfile.TemporaryDirectory() as folder:
        plan = Plan((catalogue,), "benchmark", encoder=encoder)
        prepared = prepare(plan, client)
        load: Callable[[], Waited]
        if name == "ours":
            load = _ours(prepared, settings, index, Path(folder))
            with Engine() as engine:
                np.save(vectors, engine.encode(prepared.encoder, queries))
        else:
            load, encoded = _script(name, prepared, client, index, queries, Path(folder))
            np.save(vectors, encoded)
        body = prepared.body
        if finish == "memory":
            body["mappings"]["properties"]["vector"] = {"type": "object", "enabled": False}
        client.indices.create(index=index, body=body)
        cluster_s, cpu_s, began_s = server_cpu_s(client), time.process_time(), time.perf_counter()
        waited = load()
        seconds = time.perf_counter() - began_s
        builder_cpu_s = time.process_time() - cpu_s
        cluster_cpu_s = server_cpu_s(client) - cluster_s
        began_s = time.perf_counter()
        client.indices.refresh(index=index)
        if finish == "merge":
            client.indices.forcemerge(index=index, params={"max_num_segments": 1})
            client.indices.refresh(index=index)
        merge_s = time.perf_counter() - began_s if finish == "merge" else 0.0
        documents = int(client.count(index=index)["count"])
    sample = Sample(
        name=name,
        documents=documents,
        seconds=seconds,
        encode_s=waited.encode_s,
        write_s=waited.write_s,
        merge_s=merge_s,
        builder_cpu_s=builder_cpu_s,
        cluster_cpu_s=cluster_cpu_s,
        peak_bytes=_peak_bytes(),
    )
    sys.stdout.write(json.dumps(asdict(sample)) + "\n")


def _peak_bytes() -> int:
    # Not getrusage: its figure begins with that of the process which started this one.
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _documents(prepared: Prepared, folder: Path) -> Iterator[Document]:
    composer = prepared.composer()
    with Rejects(folder / "rejects") as rejects:
        yield from read_documents(prepared.input.rows(composer.columns), composer, rejects)


def _ours(
    prepared: Prepared, settings: ClusterSettings, index: str, folder: Path
) -> Callable[[], Waited]:
    clock = StageClock()
    content = ContentHash(prepared.encoder.hash, prepared.mapping_hash)
    progress = Progress(Console(stderr=True))
    loader = Loader(
        prepared.encoder,
        content,
        base64_vectors=False,
        clock=clock,
        progress=progress,
        cache=VectorCache(0),
    )

    def load() -> Waited:
        composer = prepared.composer()
        with (
            Rejects(folder / "rejects") as rejects,
            Sender(settings, index, dead_letters(rejects)) as sender,
        ):
            rows = prepared.input.rows(composer.columns)
            documents = read_documents(rows, composer, rejects)
            loader.load(documents, sender, lambda _: lambda: None)
        return Waited(clock.busy_s["encode"] / ENCODING, clock.busy_s["wait for cluster"])

    return load


def _script(
    name: str,
    prepared: Prepared,
    client: OpenSearch,
    index: str,
    queries: list[str],
    folder: Path,
) -> tuple[Callable[[], Waited], Any]:
    """What one finds in tutorials: encode in fp32 with torch, hand actions to a bulk helper."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  ours runs without torch

    model = SentenceTransformer(str(named_folder("minilm")), device="cpu")
    encode_s = 0.0

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, normalize_embeddings=True, show_progress_bar=False)

    def actions() -> Iterator[dict[str, Any]]:
        nonlocal encode_s
        some: list[Document] = []

        def flush() -> Iterator[dict[str, Any]]:
            nonlocal encode_s
            began_s = time.perf_counter()
            vectors = encode([document.encoder_text for document in some])
            encode_s += time.perf_counter() - began_s
            for document, vector in zip(some, vectors, strict=True):
                source = {**document.fields, "rerank_text": document.rerank_text}
                yield {"_index": index, "_id": document.id, **source, "vector": vector.tolist()}

        for document in _documents(prepared, folder):
            some.append(document)
            if len(some) == _ENCODE:
                yield from flush()
                some = []
        yield from flush()

    def load() -> Waited:
        helper = helpers.parallel_bulk if name == "parallel_bulk" else helpers.streaming_bulk
        began_s = time.perf_counter()
        deque(helper(client, actions(), chunk_size=_CHUNK), maxlen=0)
        return Waited(encode_s, time.perf_counter() - began_s - encode_s)

    return load, encode(queries)


if __name__ == "__main__":
    main(*sys.argv[1:])
