"""Runs of backbones that were trained with different losses, sampled from the same seeds and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.data.backbones import BackboneSet
from models.data.residues import POINTS_PER_RESIDUE
from models.errors import DataError
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.model_draws import DrawCount, ModelDraws
from models.evaluation.backbones.report import to_tables
from models.evaluation.backbones.rows import describe_change, measure
from models.evaluation.tables import table
from models.experiments.backbones import build_nature, to_page
from models.options import SampleOptions
from models.weights import Model

RULE = (
    "Every row: first draws from the same seeds, sound or not. What was trained with the loss `quotient` is sampled on "
    "the quotient, all else as plain coordinates. Columns as in `shapespace evaluate backbones`. A difference is that "
    "of draws of the same seed, with its 95 % bootstrap interval over the seeds; an interval without zero is a "
    "difference that other draws would show too. Other trainings of the same kind may not: the intervals know nothing "
    "of the seed of a training."
)


@dataclass(frozen=True)
class Trained:
    """A run.

    Attributes:
        model: Its averaged weights, named after its folder; the card has `training` and `progress`.
        data: What it learnt from, as the run says: `sha256` of the set, chains kept and left out.
    """

    model: Model
    data: Mapping[str, Any]

    @property
    def loss(self) -> str:
        """Loss that it was trained with."""
        return self.model.card["training"]["loss"]

    @property
    def quotient(self) -> bool:
        """Whether it is sampled on the quotient."""
        return self.loss == "quotient"

    def differs(self, base: Trained) -> list[str]:
        """Settings of training that it does not share with another run; `data` where the sets are not the same."""
        ours, theirs = self.model.card["training"], base.model.card["training"]
        names = [name for name in ours if ours[name] != theirs.get(name)]
        return names + (["data"] if self.data.get("sha256") != base.data.get("sha256") else [])


def compare_losses(
    runs: Sequence[Trained],
    chains: BackboneSet,
    options: SampleOptions,
    lengths: Sequence[int],
    number: int,
    seed: int,
    idealise: bool = True,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> dict[str, Any]:
    """Sample every run from the same seeds, and measure what comes.

    Args:
        runs: Two or more; the others are compared with the first.
        chains: Validation chains to compare with; test chains are only counted beside them.
        options: How to sample; whether on the quotient each run decides.
        lengths: Residues to sample.
        number: Samples of each length.
        seed: Of the first.
        idealise: Whether bonds and angles are brought to their ideal values.
        on_progress: Called with phase, done and total.

    Returns:
        `runs`, what each is; `rows`, as in an evaluation, the validation chains first; `differences`, the rows of the
        others less that of the first.

    Raises:
        DataError: Fewer than two runs, two of one name, one that is not of backbones, or no validation chains near
            these lengths.
        SamplerError: A run has no score for the sampler.
    """
    _check(runs, options)
    nature = build_nature(chains, lengths)
    rows = []
    for run in runs:
        name = run.model.name
        counter = DrawCount(f"sampling {name}", number * len(lengths), on_progress)
        draw = ModelDraws(run.model, replace(options, quotient=run.quotient), idealise=idealise, on_done=counter)
        made = tuple(chain.astype(np.float64) for length in lengths for chain in draw(length, number, seed))
        rows.append(measure(Group(name, made)))
    return {
        "runs": [_about(run, runs[0]) for run in runs],
        "rows": [nature.describe(row) for row in (nature.validation, *rows)],
        "differences": [describe_change(row, rows[0], nature.validation, nature.test) for row in rows[1:]],
    }


def losses_to_markdown(record: Mapping[str, Any]) -> str:
    """The page."""
    titles = ["loss", "sampled on the quotient", "steps", "chains seen", "seconds", "settings unlike the first"]
    cells = [
        [run["loss"], "yes" if run["quotient"] else "no"]
        + [_whole(run["progress"].get(key)) for key in ("step", "conformers", "elapsed_s")]
        + [", ".join(run["differs"]) or "-"]
        for run in record["runs"]
    ]
    lines = ["## Trainings", "", *table(titles, cells, [run["name"] for run in record["runs"]])]
    lines += ["## Samples", "", *to_tables(record["rows"])]
    lines += ["## Differences", "", *to_tables(record["differences"])]
    return to_page("Losses in the training of backbones", record, lines)


def _check(runs: Sequence[Trained], options: SampleOptions) -> None:
    if len(runs) < 2:
        raise DataError(f"{len(runs)} runs; give two or more to compare")
    name, times = Counter(run.model.name for run in runs).most_common(1)[0]
    if times > 1:
        raise DataError(f"{times} runs are named {name!r}; their folders need different names")
    for run in runs:
        if run.model.module.config.points_per_token != POINTS_PER_RESIDUE:
            raise DataError(f"run {run.model.name!r} is not of backbones; give runs that were trained on backbones")
        run.model.check_sampler(options.kind)


def _about(run: Trained, base: Trained) -> dict[str, Any]:
    return {
        "name": run.model.name,
        "loss": run.loss,
        "quotient": run.quotient,
        "progress": run.model.card.get("progress", {}),
        "differs": run.differs(base),
        "data": dict(run.data),
    }


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
