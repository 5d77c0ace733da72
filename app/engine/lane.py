"""A running batch with the owners of its rows: they join before a step, and leave when finished or unwanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from app.engine.work import Kind, Row
from models.paths import Paths, start_paths
from models.weights import Model


class Lane:
    """One running batch.

    Args:
        model: The model.
        kind: What its rows have in common.
        used_s: Where its count of device time begins, s.
        open: Whether more rows may join.
    """

    def __init__(self, model: Model, kind: Kind, used_s: float = 0.0, open: bool = True) -> None:
        self.kind, self.used_s, self.open = kind, used_s, open
        self._model = model
        self._rows: list[Row] = []  # in the order of the paths
        self._paths: Paths | None = None
        self._joining: list[Row] = []

    def __len__(self) -> int:
        return len(self._rows) + len(self._joining)

    @property
    def rows(self) -> list[Row]:
        """All rows, on their way and about to begin."""
        return self._rows + self._joining

    def join(self, rows: Sequence[Row]) -> None:
        """Rows begin with the next step."""
        self._joining += rows

    def step(self) -> list[tuple[Row, np.ndarray]]:
        """One step of every row that is still wanted.

        Returns:
            Rows that are finished, with their raw structures, Å [N, 3].  They have left.
        """
        self._keep(np.array([not row.gone for row in self._rows], dtype=bool))
        self._begin()
        if self._paths is None:
            return []
        self._paths.advance()
        self._paths.wait()  # or the host would run ahead, and nobody could leave in time or be charged for it
        finished = self._paths.finished
        if not finished.any():
            return []
        ended = np.flatnonzero(finished)
        made = list(zip([self._rows[k] for k in ended], self._paths.structures(ended), strict=True))
        self._keep(~finished)
        return made

    def split(self) -> list[Lane]:
        """Two closed lanes with half of the rows each, all from their beginning."""
        rows, self._paths = self.rows, None
        halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        lanes = [Lane(self._model, self.kind, self.used_s, open=False) for _ in halves]
        for lane, half in zip(lanes, halves, strict=True):
            lane.join(half)
        return lanes

    def _keep(self, kept: np.ndarray) -> None:
        """Let rows leave.  [B]"""
        if kept.all() or self._paths is None:
            return
        self._rows = [row for row, stays in zip(self._rows, kept, strict=True) if stays]
        self._paths = self._paths.take(np.flatnonzero(kept)) if self._rows else None

    def _begin(self) -> None:
        """Start the paths of the rows that join."""
        self._joining = [row for row in self._joining if not row.gone]
        for warm in (False, True):
            rows = [row for row in self._joining if (row.origin.guess is not None) == warm]
            if rows:
                paths = start_paths(self._model, [row.origin for row in rows])
                self._paths = paths if self._paths is None else self._paths.join(paths)
                self._rows += rows
                self._joining = [row for row in self._joining if (row.origin.guess is not None) != warm]


def is_out_of_memory(error: Exception) -> bool:
    """Whether a step failed for want of memory; torch has a class of its own for that on GPUs only."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def free_memory() -> None:
    """Give back what torch keeps for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
