"""The turnstile before the engine: work enters in fair order, or hears at once that it is late."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import insort
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rerank_core.engine import Priority
from rerank_core.errors import OverloadError

# Work inside, a worker: two units of the slowest path on a slow core. Less leaves workers idle at
# the end of a request, more makes those inside wait for each other.
_BUSY_MS = 50.0

# On what a newcomer is foretold to take. It grows while those who were let in end late, and shrinks
# slowly while they do not: one late request costs as much as twenty that could have been let in.
_HEADROOM = 1.15
_MOST_HEADROOM = 2.5
_GROWTH = 1.1
_DECAY = 0.995

# Of its time: how long a request that is alone too much for its budget may wait for a part of it.
_PARTIAL_WAIT = 0.1

# What has so many times a newcomer's work left is not waited for: the engine does a unit of each
# request in turn, so a small one beside a large one takes twice its time, and no more.
_MUCH_LARGER = 4.0

_MAX_CLIENTS = 1024


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's place, before the turnstile and behind it."""

    client: str
    priority: Priority
    work_ms: float
    """Of workers' time, as foretold."""
    deadline: float
    """Seconds of the turnstile's clock."""
    tag: float
    """Where it stands in the fair order: its client's work so far, in worker-milliseconds."""
    number: int
    partial: bool = False
    """Too much for its budget even alone."""
    left: float = 1.0
    """Share of the work that is not done."""
    late: bool = False
    """The deadline came before the end of the work."""
    shared: bool = False
    """A small one was let in beside it: it takes longer than foretold."""
    called: asyncio.Future[None] = field(default_factory=asyncio.Future)

    @property
    def flow(self) -> tuple[str, Priority]:
        """Fairness is among these: a client's batch work does not delay its interactive work."""
        return self.client, self.priority

    @property
    def left_ms(self) -> float:
        """Of workers' time, still to come."""
        return self.work_ms * self.left

    @property
    def order(self) -> tuple[int, float, int]:
        """Priority, then fairness, then arrival."""
        return self.priority, self.tag, self.number


class Turnstile:
    """Holds work back until the workers need it. For one event loop.

    Waiting requests stand by priority, then by start-time fair queueing over clients (Goyal, Vin,
    Cheng 1996): a client's requests stand behind the work it already had, so a flood queues behind
    itself. Whoever cannot be done by its deadline, as far as can be told, is refused at once:
    the newcomer, or who stands behind it and is late now. Where all that is inside is much larger
    than one that waits, that one goes in beside it, one at a time.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._waiting: list[Ticket] = []
        self._inside: set[Ticket] = set()
        self._virtual = 0.0
        """The tag of who went in last: a client that had nothing to do begins here."""
        self._had: dict[tuple[str, Priority], float] = {}
        """Where each client's next request of a priority stands."""
        self._numbers = 0
        self._headroom = _HEADROOM

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def inside(self) -> int:
        """How many requests are with the engine."""
        return len(self._inside)

    def wait_ms(self, priority: Priority = Priority.INTERACTIVE) -> float:
        """What a newcomer that is not preferred would wait, as foretold."""
        ahead = [ticket for ticket in self._waiting if ticket.priority <= priority]
        work_ms = self._inside_ms(priority) + sum(ticket.work_ms for ticket in ahead)
        return work_ms / self._workers

    @asynccontextmanager
    async def turn(
        self, client: str, priority: Priority, work_ms: float, deadline: float
    ) -> AsyncIterator[Ticket]:
        """Waits for a place and holds it for the block, which keeps `left` and `late` up to date.

        Raises `OverloadError` as soon as the deadline cannot be met. Cancelling gives the place up.
        """
        ticket = self._enqueue(client, priority, work_ms, deadline)
        try:
            await self._called(ticket)
            yield ticket
        finally:
            self._leave(ticket)

    async def _called(self, ticket: Ticket) -> None:
        """Until its turn, or its deadline: work inside may take longer than foretold."""
        left_s = max(0.0, ticket.deadline - self._clock())
        try:
            async with asyncio.timeout(None if math.isinf(left_s) else left_s):
                await ticket.called
        except TimeoutError:
            raise OverloadError("the wait would pass the deadline; come back later") from None

    def _enqueue(self, client: str, priority: Priority, work_ms: float, deadline: float) -> Ticket:
        now = self._clock()
        self._numbers += 1
        tag = max(self._virtual, self._had.get((client, priority), 0.0))
        ticket = Ticket(client, priority, work_ms, deadline, tag, self._numbers)
        left_ms = max(0.0, (deadline - now) * 1e3)
        if work_ms / self._workers > left_ms:
            if self.wait_ms(priority) > _PARTIAL_WAIT * left_ms:
                raise OverloadError(
                    "the server is busy, and the documents are more than the time suffices for; "
                    "come back later, or send fewer"
                )
            ticket.partial = True
            ticket.work_ms = left_ms * self._workers
        insort(self._waiting, ticket, key=lambda waiting: waiting.order)
        self._had[ticket.flow] = tag + ticket.work_ms
        self._refuse_late(ticket)
        self._call()
        if ticket.called.done() and ticket.called.exception():
            ticket.called.result()
        return ticket

    def _refuse_late(self, newcomer: Ticket | None = None) -> None:
        """Sends away, first to last, who would not be done in time; each makes room behind."""
        now = self._clock()
        at = now + self._inside_ms(Priority.INTERACTIVE) / self._workers / 1e3
        beside = now
        largest_ms = self._largest_ms()
        batch = False
        kept = []
        for ticket in self._waiting:
            if ticket.priority is Priority.BATCH and not batch:
                # Behind all interactive work come those of its kind that are inside.
                batch = True
                at += self._batch_ms() / self._workers / 1e3
            took_s = ticket.work_ms / self._workers / 1e3
            ends = at + took_s
            if largest_ms > _MUCH_LARGER * ticket.work_ms and (larger := self._much_larger(ticket)):
                # Beside these, behind those of its size: each of its units waits for one of each.
                turn_s = took_s * (1 + len(larger))
                near_ms = self._inside_ms(ticket.priority) - sum(one.left_ms for one in larger)
                ends = min(
                    ends,
                    max(beside, now + near_ms * (1 + len(larger)) / self._workers / 1e3) + turn_s,
                )
                beside = max(beside, ends)
            # Who waits already is held to less, or else every small slip would send somebody away.
            headroom = self._headroom if ticket is newcomer else self._headroom / _HEADROOM
            ends = now + (ends - now) * headroom
            if ends > ticket.deadline and not ticket.partial:
                if ticket is not newcomer or not _waits_little(ticket, now, at):
                    self._refuse(ticket)
                    continue
                ticket.partial = (
                    True  # as who is too much even alone: a part is better than nothing
                )
            kept.append(ticket)
            at += took_s
        self._waiting = kept

    def _refuse(self, ticket: Ticket) -> None:
        self._had[ticket.flow] -= ticket.work_ms
        if not ticket.called.done():
            ticket.called.set_exception(
                OverloadError("the wait would pass the deadline; come back later")
            )

    def _call(self) -> None:
        """Lets in as many as keep the workers busy for a moment, and small ones beside large."""
        while self._waiting:
            ticket = self._next()
            if ticket is None:
                return
            self._waiting.remove(ticket)
            if ticket.called.done():  # its caller went away a moment ago
                self._had[ticket.flow] -= ticket.work_ms
                continue
            self._virtual = max(self._virtual, ticket.tag)
            self._inside.add(ticket)
            ticket.called.set_result(None)

    def _next(self) -> Ticket | None:
        if self._has_room():
            return self._waiting[0]
        largest_ms = self._largest_ms()
        for ticket in self._waiting:
            if largest_ms <= _MUCH_LARGER * ticket.work_ms:
                continue
            larger = self._much_larger(ticket)
            ahead = sum(one.priority <= ticket.priority for one in self._inside)
            if larger and len(larger) == ahead:
                for one in larger:
                    one.shared = True
                return ticket
        return None

    def _has_room(self) -> bool:
        """Whether the first of those who wait may go in."""
        return self._inside_ms(self._waiting[0].priority) < _BUSY_MS * self._workers

    def _largest_ms(self) -> float:
        """Left of the largest inside: what is no quarter of it need not look for larger ones."""
        return max((ticket.left_ms for ticket in self._inside), default=0.0)

    def _much_larger(self, ticket: Ticket) -> list[Ticket]:
        """What is inside and would share the workers with this one, not keep it from them."""
        least_ms = _MUCH_LARGER * ticket.work_ms
        return [
            one
            for one in self._inside
            if one.left_ms > least_ms and one.priority is ticket.priority
        ]

    def _leave(self, ticket: Ticket) -> None:
        if ticket in self._inside:
            self._inside.discard(ticket)
            self._learn(ticket)
        elif ticket in self._waiting:  # its caller went away
            self._waiting.remove(ticket)
            self._had[ticket.flow] -= ticket.work_ms
        self._refuse_late()
        self._call()
        self._forget()

    def _learn(self, ticket: Ticket) -> None:
        if ticket.partial or ticket.shared:
            return  # late as foretold, or because of others
        if ticket.late:
            self._headroom = min(self._headroom * _GROWTH, _MOST_HEADROOM)
        else:
            self._headroom = max(self._headroom * _DECAY, _HEADROOM)

    def progressed(self) -> None:
        """Work inside got less: perhaps there is room. For each list of scores, so it looks little.

        Nobody else than the first can come in by that: who goes in beside larger ones goes in when
        one comes or leaves.
        """
        if self._waiting and self._has_room():
            self._call()

    def _forget(self) -> None:
        """Whoever comes when all is done begins anew; nor is everybody who ever came remembered."""
        if not self._waiting and not self._inside:
            self._virtual = 0.0
            self._had.clear()
        elif len(self._had) > _MAX_CLIENTS:
            waiting = {ticket.flow for ticket in self._waiting}
            latest = list(self._had)[-_MAX_CLIENTS // 2 :]
            self._had = {flow: self._had[flow] for flow in {*latest, *waiting}}

    def _inside_ms(self, priority: Priority) -> float:
        """What is inside and goes before a newcomer of that priority."""
        return sum(ticket.left_ms for ticket in self._inside if ticket.priority <= priority)

    def _batch_ms(self) -> float:
        return sum(ticket.left_ms for ticket in self._inside if ticket.priority is Priority.BATCH)


def _waits_little(ticket: Ticket, now: float, begins: float) -> bool:
    return begins - now <= _PARTIAL_WAIT * (ticket.deadline - now)
