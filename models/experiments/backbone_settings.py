"""What a setting does to backbones: one of the sampler, or what is asked of the chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.data.backbones import BackboneSet
from models.data.blueprints import Wish
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.model_draws import ModelDraws
from models.evaluation.backbones.report import to_tables
from models.evaluation.backbones.rows import measure
from models.experiments.backbones import build_nature, to_page
from models.options import SampleOptions
from models.weights import Model

BASE = SampleOptions(kind="sde", steps=200, schedule="log", noise_scale=0.5, churn=20.0)
WISHES = {
    "helix .7, strand 0": Wish(helix=0.7, strand=0.0),
    "helix 0, strand .6": Wish(helix=0.0, strand=0.6),
    "helix .3, strand .3": Wish(helix=0.3, strand=0.3),
    "fold a": Wish(fold="a"),
    "fold b": Wish(fold="b"),
}


@dataclass(frozen=True)
class Setting:
    """One row: how to sample, what is asked, and whether bonds and angles are then brought to their ideal values."""

    name: str
    options: SampleOptions
    idealise: bool = True
    wish: Wish = field(default_factory=Wish)


def build_wishes(guidances: Sequence[float]) -> list[Setting]:
    """The base without a wish, and each wish with every guidance."""
    asked = [
        Setting(f"{name}, guidance {guidance:g}", replace(BASE, guidance=guidance), wish=wish)
        for name, wish in WISHES.items()
        for guidance in guidances
    ]
    return [Setting("no wish", BASE), *asked]


def build_samplers(scales: Sequence[float], steps: Sequence[int], churns: Sequence[float]) -> list[Setting]:
    """The base, and what of the sampler differs from it in one thing each, and in churn where it must."""

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


def compare_settings(
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
        draw = ModelDraws(model, setting.options, setting.wish, setting.idealise)
        made = tuple(chain.astype(np.float64) for length in lengths for chain in draw(length, number, seed))
        rows.append(nature.describe(measure(Group(setting.name, made))))
    on_progress("settings", len(settings), len(settings))
    return {"rows": rows}


def settings_to_markdown(record: dict[str, Any]) -> str:
    """The page."""
    return to_page(record["title"], record, to_tables(record["rows"]))
