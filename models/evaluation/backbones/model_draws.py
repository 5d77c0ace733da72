"""A trained model as something that draws backbones to measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from models.data.blueprints import Wish, build_blueprint
from models.draws import Draw
from models.options import SampleOptions
from models.pipeline import generate
from models.weights import Model


@dataclass
class DrawCount:
    """Adds up what is done of a phase, and tells."""

    phase: str
    total: int
    on_progress: Callable[[str, int, int], None]
    done: int = 0

    def __call__(self, count: int) -> None:
        """So many more are made."""
        self.done += count
        self.on_progress(self.phase, self.done, self.total)


@dataclass(frozen=True)
class ModelDraws:
    """First draws of a model, whether they pass the checks or not.

    Attributes:
        model: The model.
        options: How to sample; nothing is drawn again.
        wish: What is asked of the chains beside their length.
        idealise: Whether bonds and angles are brought to their ideal values, as they are for callers.
        on_done: Called with the number of backbones that have just been made.
    """

    model: Model
    options: SampleOptions
    wish: Wish = field(default_factory=Wish)
    idealise: bool = True
    on_done: Callable[[int], None] = lambda count: None

    def __call__(self, length: int, count: int, seed: int) -> np.ndarray:
        """Backbones of consecutive seeds, Å; NaN where none came out.  [S, L, 4, 3] float32"""
        found = np.full((count, length, 4, 3), np.nan, np.float32)

        def keep(draw: Draw, x: np.ndarray, fault: str | None) -> None:
            found[draw.index] = x.reshape(length, 4, 3)

        blueprint = build_blueprint("sample", length, self.wish, keep_failed=True, idealise=self.idealise)
        once = replace(self.options, rounds=1)
        generate(self.model, [blueprint], [count], [seed], once, on_done=self.on_done, on_structure=keep)
        return found
