"""The draws of one molecule: what makes a conformer good, and the ensemble of those that are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from models.data.verify import REASONS, GeometryLimits, find_faults, geometry_limits
from models.draws import DRAW_REASONS, Draws, Path
from models.structure import Conformer, Ensemble, Molecule, Problem

ALL_REASONS = REASONS | DRAW_REASONS


class ConformerDraws(Draws[Molecule, Ensemble]):
    """See `Draws`; every bond, contact and stereocentre of a conformer is checked."""

    def check(self, paths: Sequence[Path]) -> list[str | None]:
        """First fault of each conformer, or None for a good one."""
        return find_faults(self.subject, self._limits, np.stack([path.x for path in paths]))

    def ensemble(self) -> Ensemble:
        """What there is by now."""
        missing = self.missing
        problems = tuple(
            Problem(reason, detail, missing.count(reason))
            for reason, detail in ALL_REASONS.items()
            if reason in missing
        )
        good = tuple(Conformer(made.draw.index, made.draw.seed, made.path.x) for made in self.good)
        return Ensemble(self._noted(), self.count, good, problems, self.attempts, self.first_pass)

    def _noted(self) -> Molecule:
        """The molecule, with a note if conformers of it had no guess to start from."""
        unguided = sum(not made.path.as_asked for made in self.good)
        if not unguided:
            return self.subject
        words = f"conformers sampled from noise, since ETKDG could not embed the molecule: {unguided}"
        return replace(self.subject, notes=(*self.subject.notes, words))

    @cached_property
    def _limits(self) -> GeometryLimits:
        return geometry_limits(self.subject)
