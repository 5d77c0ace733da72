"""Embedding of one molecule: guesses to start from, one for each seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.intake.job import Job, Loss

if TYPE_CHECKING:
    import numpy as np

    from models.data.guess import Recipe
    from models.structure import Molecule

# RDKit ends a guess after a number of attempts, on every machine the same.  The time is at least twice what these take
# as a rule, so that nothing is lost for want of it but odd molecules.
_ATOMS = 96.0  # for which one try may take as long as the reading of a text
_LEAST = 0.5  # times that, for small molecules
_EACH_MORE = 0.5  # times the first, for each try more


@dataclass(frozen=True)
class Embedding(Job["list[np.ndarray | None] | None"]):
    """Guesses that are wanted.

    Attributes:
        molecule: What to embed.
        seeds: One for each guess.
        recipe: How each is made.
    """

    molecule: Molecule
    seeds: tuple[int, ...]
    recipe: Recipe

    @property
    def patience(self) -> float:
        """A try takes longer the larger the molecule; many in one job seldom all take long."""
        tries = len(self.seeds) * self.recipe.tries
        return max(_LEAST, self.molecule.num_atoms / _ATOMS) * (1 + (tries - 1) * _EACH_MORE)

    def run(self) -> list[np.ndarray | None]:
        """The guesses, Å [N, 3], or None for each that ETKDG did not find."""
        from models.data.guess import make_guesses

        return make_guesses(self.molecule, self.seeds, self.recipe)

    def lost(self, loss: Loss) -> None:
        """No guess, and a sign that more of the same would be lost too."""
        return
