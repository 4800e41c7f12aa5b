"""Progress and time left on long work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_EVERY_S = 30.0
"""Between lines where there is no terminal to draw on."""


@contextmanager
def counted(
    show: Console, what: str, total: int, before: int = 0
) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line every half minute in a file; called with how many more.

    `before`: done by an earlier run, in no time of this one.
    """
    if show.is_terminal:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=show) as progress:
            task = progress.add_task("", total=total, completed=before)
            yield lambda more: progress.advance(task, more)
        return
    started, said, done = time.monotonic(), time.monotonic(), before

    def more(count: int) -> None:
        nonlocal said, done
        done += count
        now = time.monotonic()
        if now - said >= _EVERY_S or done == total:
            left_s = (now - started) / (done - before) * (total - done)
            show.print(f"{what}: {done:,} of {total:,}, {left_s:.0f} s left", highlight=False)
            said = now

    yield more
