"""Samples of the model for every molecule of a set, first draw and served, with the time they took.

Axes: S samples, N atoms.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.draws import Draw
from models.evaluation.case import Case
from models.options import SampleOptions
from models.pipeline import generate
from models.structure import Ensemble
from models.weights import Model

CHUNK_SAMPLES = 1_024  # structures given to one call of `generate`: full batches, and a progress bar that moves


@dataclass(frozen=True)
class ModelSamples:
    """Samples of every case; none for those without a target.

    Attributes:
        first: First draw of each sample, unchecked, Å.  [S, N, 3] for each case
        served: What `generate` returned for each case.
        first_s: Sampling time of the first draw, s.
        sampling_s: Sampling time of all draws, s.
        total_s: Time of `generate`, s.
    """

    first: list[np.ndarray]
    served: list[Ensemble | None]
    first_s: float
    sampling_s: float
    total_s: float


def draw_samples(
    model: Model,
    cases: Sequence[Case],
    options: SampleOptions,
    clock: Callable[[], float],
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> ModelSamples:
    """Sample every case, small molecules first so that batches are full."""
    stopwatch = _Stopwatch(model.device, clock)
    first: list[np.ndarray] = [np.zeros((0, 0, 3))] * len(cases)
    served: list[Ensemble | None] = [None] * len(cases)
    done, total = 0, sum(case.target.requested for case in cases if case.target)
    for chunk in _chunks(cases):
        targets = [target for k in chunk if (target := cases[k].target)]
        structures: list[dict[int, np.ndarray]] = [{} for _ in chunk]

        def keep(draw: Draw, x: np.ndarray, fault: str | None, store: list = structures) -> None:
            stopwatch.see(draw.attempt)
            if draw.attempt == 0:
                store[draw.molecule][draw.index] = x

        stopwatch.begin()
        ensembles = generate(
            model,
            [target.molecule for target in targets],
            [target.requested for target in targets],
            [target.seed for target in targets],
            options,
            should_stop=stopwatch.tick,
            on_done=stopwatch.end_batch,
            on_structure=keep,
        )
        stopwatch.end()
        for k, store, ensemble in zip(chunk, structures, ensembles, strict=True):
            first[k], served[k] = np.stack([store[row] for row in sorted(store)]), ensemble
        done += sum(target.requested for target in targets)
        on_progress("sampling the model", done, total)
    return ModelSamples(first, served, stopwatch.first_s, stopwatch.sampling_s, stopwatch.total_s)


class _Stopwatch:
    """Times the sampler without the checks: from the start of a batch to the last step that it reports."""

    def __init__(self, device: torch.device, clock: Callable[[], float]) -> None:
        self._device, self._clock = device, clock
        self._began = self._batch = self._step = 0.0
        self._attempt = 0
        self.first_s = self.sampling_s = self.total_s = 0.0

    def begin(self) -> None:
        """`generate` is about to be called."""
        self._began = self._batch = self._clock()

    def tick(self) -> bool:
        """A sampler step has ended; never asks to stop."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # the step may only be queued
        self._step = self._clock()
        return False

    def see(self, attempt: int) -> None:
        """A structure of the batch came out of this attempt."""
        self._attempt = attempt

    def end_batch(self, count: int) -> None:
        """The batch has been checked, and the next one begins."""
        spent = max(0.0, self._step - self._batch)  # molecules may also be given up with no step in between
        self.sampling_s += spent
        self.first_s += spent if self._attempt == 0 else 0.0
        self._batch = self._clock()

    def end(self) -> None:
        """`generate` has returned."""
        self.total_s += self._clock() - self._began


def _chunks(cases: Sequence[Case]) -> Iterator[list[int]]:
    """Cases with a target, by size, about `CHUNK_SAMPLES` samples at a time."""
    sizes = {k: case.target.molecule.num_atoms for k, case in enumerate(cases) if case.target}
    chunk: list[int] = []
    for k in sorted(sizes, key=lambda k: (sizes[k], k)):
        chunk.append(k)
        if sum(2 * cases[j].references for j in chunk) >= CHUNK_SAMPLES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
