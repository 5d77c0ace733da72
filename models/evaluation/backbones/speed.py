"""What a batch of backbones costs, from noise to checked coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from models.data.batch import split_by_size
from models.errors import DataError
from models.evaluation.backbones.model_draws import ModelDraws
from models.options import SampleOptions
from models.pipeline import PAIR_BUDGET
from models.weights import Model


@dataclass(frozen=True)
class BatchCost:
    """Times of one batch of backbones of one length.

    Attributes:
        length: Residues of each.
        batch: Backbones in the batch.
        steps: Sampler steps of each.
        seconds: Of each repeat: the whole batch, sampled, brought to ideal values and checked, s.
    """

    length: int
    batch: int
    steps: int
    seconds: tuple[float, ...]

    @property
    def batch_s(self) -> float:
        """Median of the repeats, s."""
        return median(self.seconds)

    @property
    def sample_s(self) -> float:
        """Its share for each backbone, s."""
        return self.batch_s / self.batch


def measure_batch(
    model: Model,
    length: int,
    batch: int,
    options: SampleOptions,
    repeats: int,
    clock: Callable[[], float],
    on_done: Callable[[], None] = lambda: None,
) -> BatchCost:
    """Time whole batches, each of other seeds.

    Args:
        model: A model of backbones.
        length: Residues of each.
        batch: Backbones that are sampled together.
        options: How to sample; nothing is drawn again.
        repeats: Batches that are timed, after one of two steps that sets everything up.
        clock: Monotonic seconds.
        on_done: Called after each.

    Raises:
        DataError: So many of this length are not sampled in one batch.
    """
    together = len(split_by_size([length] * batch, PAIR_BUDGET)[0])
    if together < batch:
        raise DataError(f"batch is {batch}; of {length} residues at most {together} are sampled together")
    ModelDraws(model, replace(options, steps=2))(length, batch, 0)
    draw, seconds = ModelDraws(model, options), []
    for repeat in range(repeats):
        began = clock()
        draw(length, batch, repeat * batch)  # coordinates on the CPU, so that a GPU has done its work
        seconds.append(clock() - began)
        on_done()
    return BatchCost(length, batch, options.steps, tuple(seconds))
