"""Finishing of one ensemble in jobs: a few conformers at a time, then all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.intake.job import Job, Loss

if TYPE_CHECKING:
    from models.finishing.finish import Measured
    from models.finishing.options import FinishOptions
    from models.structure import Conformer, Ensemble, Molecule

_RELAX_PATIENCE = 4.0  # for one conformer of 256 atoms on a busy machine; small molecules take a hundredth
_SELECT_PATIENCE = 0.02  # for each conformer


@dataclass(frozen=True)
class Measuring(Job["list[Measured] | str"]):
    """Conformers to relax and measure, each on its own; the answer to a loss is a key of `finish.REASONS`."""

    molecule: Molecule
    conformers: tuple[Conformer, ...]
    options: FinishOptions

    @property
    def patience(self) -> float:
        """Each conformer may take as long as a few readings."""
        return _RELAX_PATIENCE * len(self.conformers)

    def run(self) -> list[Measured]:
        """The conformers with what became of them."""
        from models.finishing.finish import measure

        return measure(self.molecule, self.conformers, self.options)

    def lost(self, loss: Loss) -> str:
        """Why they were not measured."""
        return _reason(loss)


@dataclass(frozen=True)
class Selecting(Job["Ensemble | str"]):
    """An ensemble to narrow, prune and rank by what was measured; its own conformers need not come along."""

    ensemble: Ensemble
    measured: tuple[Measured, ...]
    options: FinishOptions

    @property
    def patience(self) -> float:
        """Pruning takes about a second for a thousand conformers, and more where many atoms are equivalent."""
        return 1.0 + _SELECT_PATIENCE * len(self.measured)

    def run(self) -> Ensemble:
        """The finished ensemble."""
        from models.finishing.finish import select

        return select(self.ensemble, self.measured, self.options)

    def lost(self, loss: Loss) -> str:
        """Why it was not finished."""
        return _reason(loss)


def _reason(loss: Loss) -> str:
    return "finish_timeout" if loss.reason == "late" else "finish_failed"
