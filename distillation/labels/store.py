"""Teachers' answers in Parquet shards: appended whole, read whole, never lost to a kill."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from distillation.pool.shutting import normalised
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from rerank_core.errors import ArtifactError, InputError

_SCHEMA = pa.schema(
    [
        ("key", pa.binary(32)),
        ("logit", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),
        ("teacher_id", pa.string()),
        ("revision", pa.string()),
        ("prompt_hash", pa.string()),
        ("missed", pa.int16()),
    ]
)


def label_key(identity: TeacherIdentity, pair: Pair) -> bytes:
    """sha256 over teacher revision, prompt, normalised query and product text."""
    parts = (identity.revision, identity.prompt_hash, normalised(pair.query), pair.product)
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


@dataclass(frozen=True)
class LabelStore:
    """A folder of shards. A shard is there whole or not at all.

    Answers that could not be read lie in it as NaN: they are counted, asked no second time, and
    never in what `logits` returns for training.
    """

    folder: Path

    def append(
        self, identity: TeacherIdentity, pairs: Sequence[Pair], scores: TeacherScores
    ) -> None:
        """Writes one shard, on disk when this returns."""
        if len(pairs) != len(scores.logits):
            raise InputError("scores", f"{len(scores.logits)} for {len(pairs)} pairs")
        table = pa.table(
            {
                "key": [label_key(identity, pair) for pair in pairs],
                "logit": scores.logits,
                "probabilities": [None] * len(pairs)
                if scores.probabilities is None
                else scores.probabilities.tolist(),
                "teacher_id": [identity.teacher_id] * len(pairs),
                "revision": [identity.revision] * len(pairs),
                "prompt_hash": [identity.prompt_hash] * len(pairs),
                "missed": [None] * len(pairs) if scores.missed is None else scores.missed,
            },
            schema=_SCHEMA,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        # Named by its first key and a draw, so that two writers never meet.
        name = f"{table['key'][0].as_py().hex()[:12]}-{os.urandom(6).hex()}.parquet"
        staged = self.folder / f".{name}.new"
        with staged.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(self.folder / name)

    def read(self) -> dict[bytes, float]:
        """Key to logit of every answer, unreadable ones as NaN. Raises `ArtifactError`."""
        found: dict[bytes, float] = {}
        for path in sorted(self.folder.glob("*.parquet")):
            try:
                table = pq.read_table(path, columns=["key", "logit"])
            except (pa.ArrowException, OSError) as error:
                raise ArtifactError(f"{path}: not a label shard: {error}; remove it") from error
            found.update(zip(table["key"].to_pylist(), table["logit"].to_pylist(), strict=True))
        return found

    def missed(self, identity: TeacherIdentity) -> int:
        """How many grades a server did not tell, over all answers of an identity."""
        shards = [str(path) for path in self.folder.glob("*.parquet")]
        if not shards:
            return 0
        theirs = (pc.field("revision") == identity.revision) & (
            pc.field("prompt_hash") == identity.prompt_hash
        )
        # Older shards have no such column: null.
        table = ds.dataset(shards, _SCHEMA).to_table(columns=["missed"], filter=theirs)
        return pc.sum(table["missed"]).as_py() or 0

    def shards(self) -> int:
        """How many files."""
        return len(list(self.folder.glob("*.parquet")))


def logits(
    known: Mapping[bytes, float], identity: TeacherIdentity, pairs: Sequence[Pair]
) -> np.ndarray:
    """The answers to `pairs`, NaN where there is none or it could not be read."""
    keys = (label_key(identity, pair) for pair in pairs)
    return np.array([known.get(key, np.nan) for key in keys], np.float32)
