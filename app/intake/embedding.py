"""Embedding of one molecule: ETKDG guesses to start from, one for each seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.intake.job import Job, Loss

if TYPE_CHECKING:
    import numpy as np

    from models.structure import Molecule


@dataclass(frozen=True)
class Embedding(Job["list[np.ndarray | None] | None"]):
    """Guesses that are wanted.

    Attributes:
        molecule: What to embed.
        seeds: One for each guess.
    """

    molecule: Molecule
    seeds: tuple[int, ...]

    @property
    def patience(self) -> float:
        """Each guess may take as long as the reading of a text."""
        return float(len(self.seeds))

    def run(self) -> list[np.ndarray | None]:
        """The guesses, Å [N, 3], or None for each that ETKDG did not find."""
        from models.data.guess import embed_guesses

        return embed_guesses(self.molecule, self.seeds)

    def lost(self, loss: Loss) -> None:
        """No guess, and a sign that more of the same would be lost too."""
        return
