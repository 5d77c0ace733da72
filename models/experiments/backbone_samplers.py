"""What each setting of the sampler does to backbones: noise, steps, grid, the quotient, its curvature, ideal bonds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.data.backbones import BackboneSet
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.model_draws import ModelDraws
from models.evaluation.backbones.report import to_tables
from models.evaluation.backbones.rows import measure
from models.experiments.backbones import build_nature, to_page
from models.options import SampleOptions
from models.weights import Model

BASE = SampleOptions(kind="sde", steps=200, schedule="log", noise_scale=0.5, churn=20.0)


@dataclass(frozen=True)
class Setting:
    """One row: how to sample, and whether bonds and angles are then brought to their ideal values."""

    name: str
    options: SampleOptions
    idealise: bool = True


def build_settings(scales: Sequence[float], steps: Sequence[int], churns: Sequence[float]) -> list[Setting]:
    """The base, and what differs from it in one thing each, and in churn where it must."""

    def sde(name: str, idealise: bool = True, **changes: Any) -> Setting:
        return Setting(name, replace(BASE, **changes), idealise)

    return [
        *(sde(f"SDE, noise {scale:g}, {BASE.steps} steps", noise_scale=scale) for scale in scales),
        *(
            # as much noise and score in each step as the base has
            sde(f"{n} steps, churn {BASE.churn * n / BASE.steps:g}", steps=n, churn=BASE.churn * n / BASE.steps)
            for n in steps
            if n != BASE.steps
        ),
        *(sde(f"churn {churn:g}", churn=churn) for churn in churns if churn != BASE.churn),
        sde("ODE", kind="ode"),
        sde("uniform grid, churn 4", schedule="uniform", churn=4.0),
        sde("without the curvature drift", curvature=False),
        sde("plain, not on the quotient", quotient=False),
        sde("bonds not idealised", idealise=False),
    ]


def compare_samplers(
    model: Model,
    chains: BackboneSet,
    settings: Sequence[Setting],
    lengths: Sequence[int],
    number: int,
    seed: int,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> dict[str, Any]:
    """Sample with every setting, from the same seeds, and measure what comes.

    Args:
        model: A model of backbones.
        chains: Validation chains to compare with; test chains are only counted beside them.
        settings: Rows.
        lengths: Residues to sample.
        number: Samples of each length.
        seed: Of the first.
        on_progress: Called with phase, done and total.

    Returns:
        `rows`, as in an evaluation: the validation chains first.

    Raises:
        DataError: The set has no validation chains near these lengths.
    """
    nature = build_nature(chains, lengths)
    rows = [nature.describe(nature.validation)]
    for done, setting in enumerate(settings):
        on_progress("settings", done, len(settings))
        draw = ModelDraws(model, setting.options, idealise=setting.idealise)
        made = tuple(chain.astype(np.float64) for length in lengths for chain in draw(length, number, seed))
        rows.append(nature.describe(measure(Group(setting.name, made))))
    on_progress("settings", len(settings), len(settings))
    return {"rows": rows}


def samplers_to_markdown(record: dict[str, Any]) -> str:
    """The page."""
    return to_page("Settings of the sampler of backbones", record, to_tables(record["rows"]))
