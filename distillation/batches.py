"""Which lists meet in which step: the whole schedule of a run, known before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distillation.lists import TokenList

_WINDOW_STEPS = 16
"""Lists are sorted by length within so many steps: little padding, yet a random order."""


@dataclass(frozen=True)
class Pick:
    """Rows of one list that take part in a step."""

    number: int
    rows: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Batch:
    """Padded pairs of several lists; shapes ``(pairs, tokens)`` and ``(pairs,)``."""

    ids: Tensor
    type_ids: Tensor
    mask: Tensor
    targets: Tensor
    lists: Tensor


def plan_epoch(
    lists: Sequence[TokenList],
    *,
    pairs_a_step: int,
    list_products: int,
    random: np.random.Generator,
) -> list[list[Pick]]:
    """Steps in which every list takes part once, lists of like length together.

    A list longer than `list_products` shows a fresh random part of its rows. A step holds
    `pairs_a_step` pairs at most, or one list where that alone has more.
    """
    picks = []
    for number in random.permutation(len(lists)):
        count = len(lists[number].tokens)
        rows = random.permutation(count)[:list_products]
        picks.append(Pick(int(number), np.sort(rows)))
    steps: list[list[Pick]] = []
    for window in _cut(picks, pairs_a_step * _WINDOW_STEPS):
        window.sort(key=lambda pick: int(lists[pick.number].tokens.lengths[pick.rows].max()))
        cut = _cut(window, pairs_a_step)
        steps.extend(cut[index] for index in random.permutation(len(cut)))
    return steps


def _cut(picks: Sequence[Pick], pairs: int) -> list[list[Pick]]:
    """Runs of picks, each with `pairs` rows at most where it has more than one pick."""
    parts: list[list[Pick]] = []
    room = 0
    for pick in picks:
        if not parts or len(pick.rows) > room:
            parts.append([])
            room = pairs
        parts[-1].append(pick)
        room -= len(pick.rows)
    return parts


def assemble(lists: Sequence[TokenList], picks: Sequence[Pick]) -> Batch:
    """The tensors of one step."""
    chosen = [(lists[pick.number], pick.rows) for pick in picks]
    parts = [one.tokens.rows(rows) for one, rows in chosen]
    lengths = np.concatenate([part.lengths for part in parts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    type_ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate([part.ids for part in parts])
    type_ids[mask] = np.concatenate([part.type_ids for part in parts])
    numbers = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return Batch(
        ids=torch.from_numpy(ids),
        type_ids=torch.from_numpy(type_ids),
        mask=torch.from_numpy(mask.astype(np.int64)),
        targets=torch.from_numpy(np.concatenate([one.targets[rows] for one, rows in chosen])),
        lists=torch.from_numpy(numbers),
    )


def even(batch: Batch, *, rows: int = 16, tokens: int = 8) -> Batch:
    """The batch with ids and masks filled up to whole multiples; targets and lists stay.

    Compiled products are made for one shape, and making them takes longer than using them: steps
    of 60 different shapes took twice the time of steps of a few. A filler row is one padding token.
    """
    count, length = batch.ids.shape
    more, longer = -count % rows, -length % tokens
    if not more and not longer:
        return batch
    filled = [
        torch.nn.functional.pad(one, (0, longer, 0, more))
        for one in (batch.ids, batch.type_ids, batch.mask)
    ]
    filled[2][count:, 0] = 1  # an empty row has nothing to attend to
    return Batch(filled[0], filled[1], filled[2], batch.targets, batch.lists)
