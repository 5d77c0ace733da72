"""One evaluation: read the set, sample the model, embed the baseline, score every row."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from models.data.datasets import ReferenceMolecule
from models.errors import DataError
from models.evaluation.baseline import EMBEDDED, RELAXED, BaselineJob, score_baseline
from models.evaluation.case import Case, read_cases
from models.evaluation.conformers import Sampled, Score, Target, failed_score, score
from models.evaluation.draw import ModelSamples, draw_samples
from models.options import SampleOptions
from models.structure import Ensemble
from models.weights import Model

FIRST_DRAW, SERVED = "model, first draw", "model, served"

T = TypeVar("T")
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured, and how much of it.

    Attributes:
        max_references: Most reference conformers of a molecule; evenly spaced ones are taken, the first always.
        max_molecules: Most molecules, evenly spaced over the set; None takes all.
        thresholds_ang: Distances below which a conformer counts as found, Å.
        seed: Fixes the samples of every row.
        processes: Processes that embed and score; 1 stays in this process.
        baseline: Whether RDKit is measured too.
        embed_timeout_s: Time limit of embedding one molecule, s.
    """

    max_references: int = 20
    max_molecules: int | None = None
    thresholds_ang: tuple[float, ...] = (0.05, 0.1, 0.5, 0.75)
    seed: int = 0
    processes: int = 2
    baseline: bool = True
    embed_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for name in ("max_references", "max_molecules", "processes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name} is {value}; give 1 or more")
        if not self.thresholds_ang or min(self.thresholds_ang) <= 0:
            raise DataError(f"thresholds are {self.thresholds_ang}; give one or more lengths above 0, in Å")
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}; give 0 or more")


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        name: What made the samples.
        scores: One per case.
        seconds: Time spent on making samples, failures included, s.
    """

    name: str
    scores: list[Score]
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured.

    Attributes:
        cases: The molecules.
        rows: First draw, served, and the baseline rows.
        checking_s: Time that `generate` spent on everything but sampling, s.
    """

    cases: list[Case]
    rows: list[Row]
    checking_s: float


def evaluate(
    model: Model,
    references: Iterable[ReferenceMolecule],
    options: SampleOptions,
    config: EvaluationConfig,
    clock: Callable[[], float],
    on_progress: OnProgress = lambda phase, done, total: None,
) -> Evaluation:
    """Measure a model, and RDKit beside it, on one set.

    Model and baseline do not run at the same time, so that neither slows the other down.

    Args:
        model: The model.
        references: The set.
        options: How to sample.
        config: What to measure.
        clock: Monotonic seconds; worker processes must be able to import it.
        on_progress: Called with a phase, how much of it is done, and its total.

    Returns:
        Scores of every row and molecule.

    Raises:
        DataError: The set is empty.
        SamplerError: The options do not fit the model.
    """
    cases = read_cases(references, config.max_references, config.max_molecules, config.seed)
    drawn = draw_samples(model, cases, options, clock, on_progress)
    targets = [case.target for case in cases if case.target]
    first = [x for case, x in zip(cases, drawn.first, strict=True) if case.target]
    rows = []
    with workers(config.processes) as each:
        for name, jobs, seconds in (
            (FIRST_DRAW, [Sampled(target, x) for target, x in zip(targets, first, strict=True)], drawn.first_s),
            (SERVED, served_samples(cases, drawn), drawn.sampling_s),
        ):
            scores = list(counted(each(score, jobs), f"scoring {name}", len(jobs), on_progress))
            rows.append(Row(name, with_failures(cases, scores), seconds))
        if config.baseline:
            tasks = [BaselineJob(target, config.embed_timeout_s, clock) for target in targets]
            both = list(counted(each(score_baseline, tasks), "embedding with RDKit", len(tasks), on_progress))
            for name in (EMBEDDED, RELAXED):
                own = [scores[name] for scores in both]
                rows.append(Row(name, with_failures(cases, own), sum(s.seconds or 0.0 for s in own)))
    return Evaluation(cases, rows, drawn.total_s - drawn.sampling_s)


def served_samples(cases: Sequence[Case], drawn: ModelSamples) -> list[Sampled]:
    """What the model returned for each case with a target."""
    pairs = zip(cases, drawn.served, strict=True)
    return [_served(case.target, ensemble) for case, ensemble in pairs if case.target and ensemble]


def with_failures(cases: Sequence[Case], scores: Sequence[Score]) -> list[Score]:
    """Scores of every case, from those of the cases with a target; the others fail."""
    left = iter(scores)
    return [
        next(left) if case.target else failed_score(2 * case.references, case.references, case.failure or "unknown")
        for case in cases
    ]


def counted(results: Iterable[T], phase: str, total: int, on_progress: OnProgress) -> Iterator[T]:
    """The results, each reported when it is there."""
    for done, result in enumerate(results, 1):
        on_progress(phase, done, total)
        yield result


@contextmanager
def workers(processes: int) -> Iterator[Callable[[Callable, Sequence], Iterable]]:
    """A `map` over worker processes.  They import the scoring only, not the network."""
    if processes == 1:
        yield map
        return
    with get_context("spawn").Pool(processes) as pool:
        yield pool.imap


def _served(target: Target, ensemble: Ensemble) -> Sampled:
    x = np.array([c.coordinates for c in ensemble.conformers]).reshape(-1, target.molecule.num_atoms, 3)
    worst = max(ensemble.problems, key=lambda problem: problem.count, default=None)
    failure = worst.reason if worst and not len(x) else None
    return Sampled(target, x, failure, counts={"attempts": ensemble.attempts})
