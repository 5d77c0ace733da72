"""Draws that wait for a place in a batch, and whose turn it is."""

from __future__ import annotations

from app.engine.packing import moved_on, pack
from app.engine.work import Kind, Row, Work


class Backlog:
    """Works with draws that could begin, by kind of batch."""

    def __init__(self) -> None:
        self._queues: dict[Kind, dict[Work, None]] = {}  # oldest first
        self._clock = {True: 0.0, False: 0.0}  # virtual time of brief and bulk work, s

    @property
    def kinds(self) -> list[Kind]:
        """Kinds of batches that somebody waits for."""
        return [kind for kind, queue in self._queues.items() if queue]

    def offer(self, work: Work) -> None:
        """Queue what of a work could begin; who comes back later than others is not ahead of them."""
        if work.ended:
            return
        if not any(work in queue for queue in self._queues.values()):
            work.tag_s = max(work.tag_s, self._clock[work.brief])
        for kind in work.kinds:
            if work.waiting(kind):
                self._queues.setdefault(kind, {})[work] = None

    def take(self, kind: Kind, room: int) -> list[Row]:
        """Rows that begin now in a batch of this kind."""
        queue, rows = self._queues[kind], []
        works = list(queue)
        flows = [work.flow(kind) for work in works]
        begun = pack(flows, room)
        waiting = {work for other, queued in self._queues.items() if other.brief == kind.brief for work in queued}
        weight = sum(work.weight for work in waiting)
        for work, count in zip(works, begun, strict=True):
            if count and work.begin():
                own = work.take(kind, count)
                cost_s = sum(row.cost_s for row in own)  # more than was expected of draws without a guess
                work.tag_s += cost_s / work.weight
                self._clock[kind.brief] = moved_on(self._clock[kind.brief], cost_s, weight)
                rows += own
            if not work.waiting(kind):
                del queue[work]
        if not queue:
            del self._queues[kind]
        return rows

    def drop(self, work: Work) -> None:
        """A work has ended."""
        for queue in self._queues.values():
            queue.pop(work, None)

    def empty(self) -> None:
        """Forget who waits, but not the virtual time."""
        self._queues.clear()
