"""Which conformers a step sees, as a pure function of the step.

A run that is killed and resumed therefore sees the same data in the same order, with nothing to save but the step.
"""

import numpy as np
from numpy.random import default_rng


class BatchOrder:
    """Shuffled passes over size buckets; each batch comes from one bucket.

    Args:
        members: Conformers in each bucket.
        batch_sizes: Conformers per step in each bucket.
        seed: Fixes all passes.
    """

    def __init__(self, members: list[int], batch_sizes: list[int], seed: int) -> None:
        self.members = members
        self.batch_sizes = [min(size, count) for size, count in zip(batch_sizes, members, strict=True)]
        self.per_bucket = [count // size for count, size in zip(members, self.batch_sizes, strict=True)]
        self.per_pass = sum(self.per_bucket)
        self.seed = seed
        self._pass = -1
        self._batches: list[tuple[int, np.ndarray]] = []

    def batch(self, step: int) -> tuple[int, np.ndarray]:
        """Bucket and members of step `step`, from 0."""
        number, place = divmod(step, self.per_pass)
        if number != self._pass:
            self._batches = self._shuffle(number)
            self._pass = number
        return self._batches[place]

    def _shuffle(self, number: int) -> list[tuple[int, np.ndarray]]:
        rng = default_rng((self.seed, number))
        batches: list[tuple[int, np.ndarray]] = []
        for bucket, (count, size, full) in enumerate(zip(self.members, self.batch_sizes, self.per_bucket, strict=True)):
            order = rng.permutation(count)[: full * size].reshape(full, size)
            batches.extend((bucket, np.sort(rows)) for rows in order)
        return [batches[k] for k in rng.permutation(len(batches))]
