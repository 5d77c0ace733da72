"""The draws of one backbone: what makes a sample good, and the ensemble of those that are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from models.backbone import Backbone, BackboneEnsemble
from models.blueprint import Blueprint
from models.data.quality import REASONS, measure_backbones
from models.data.report import report_backbones
from models.draws import DRAW_REASONS, Draws, Path
from models.geometry.alignment import kabsch, rmsd
from models.geometry.peptide import POINTS, idealise
from models.geometry.rigid import rotate
from models.networks.held import Held

ALL_REASONS = REASONS | DRAW_REASONS
_NOT_FINITE = "not_finite"


class BackboneDraws(Draws[Blueprint, BackboneEnsemble]):
    """See `Draws`; breaks, clashes, handedness and torsions of a backbone are checked."""

    def polish(self, paths: Sequence[Path]) -> Sequence[Path]:
        """The motif to the last digit, ideal bonds and angles elsewhere, and all in the place of what was given."""
        held = self._fixed
        if self.subject.motif is None and not self.subject.idealise:
            return paths
        x = torch.from_numpy(self._stack(paths))
        if held is not None:  # the last step only moves the shape, which leaves it some hundredths off
            mask = held.repeat_interleave(POINTS).expand(len(x), -1)
            x = Held(self._motif(x).flatten(1, 2), mask).put_into(x.flatten(1, 2)).view(x.shape)
        x = idealise(x, held) if self.subject.idealise else x
        x = self._laid(x) if self.subject.motif is not None else x
        return [replace(path, x=own.reshape(-1, 3)) for path, own in zip(paths, x.numpy(), strict=True)]

    def check(self, paths: Sequence[Path]) -> list[str | None]:
        """First fault of each backbone, or None for one to keep."""
        faults = measure_backbones(self._stack(paths)).faults
        if self.subject.keep_failed:
            return [fault if fault == _NOT_FINITE else None for fault in faults]
        return list(faults)

    def ensemble(self) -> BackboneEnsemble:
        """What there is by now."""
        good, samples = self.good, tuple[Backbone, ...]()
        if good:
            x = self._stack([made.path for made in good])
            off = self._motif_rmsd(x)
            samples = tuple(
                Backbone(made.draw.seed, own, report, made.draw.attempt + 1, away)
                for made, own, report, away in zip(good, x, report_backbones(x), off, strict=True)
            )
        reason, detail = self._explain()
        stopped = self.missing.count("stopped")
        return BackboneEnsemble(self.place, self.subject.id, self.subject.length, samples, reason, detail, stopped)

    def _explain(self) -> tuple[str | None, str]:
        """The most frequent reason why samples are missing, and all of them in words."""
        counts = Counter(self.missing)
        if not counts:
            return None, ""
        words = [f"{counts[reason]}: {detail}" for reason, detail in ALL_REASONS.items() if reason in counts]
        missing = f"{counts.total()} of {self.count} samples are missing after {self.attempts} draws"
        return counts.most_common(1)[0][0], f"{missing} ({'; '.join(words)})"

    def _laid(self, x: torch.Tensor) -> torch.Tensor:
        """Samples in the place of what was given.  [S, L, 4, 3]"""
        target = self._motif(x)
        kept = slice(None) if self._fixed is None else self._fixed
        own, given = x[:, kept].flatten(1, 2), target[:, kept].flatten(1, 2)
        from_, to = own.mean(1, keepdim=True), given.mean(1, keepdim=True)
        turn = kabsch(own - from_, given - to, torch.ones(own.shape[:2], dtype=torch.bool))
        return (rotate(x.flatten(1, 2) - from_, turn) + to).view(x.shape)

    def _motif_rmsd(self, x: np.ndarray) -> list[float | None]:
        """How far the fixed residues are off, Å.  [S, L, 4, 3] -> [S]"""
        if self._fixed is None:
            return [None] * len(x)
        own = torch.from_numpy(x)[:, self._fixed]
        target = self._motif(torch.from_numpy(x))[:, self._fixed]
        mask = torch.ones(len(x), POINTS * own.shape[1], dtype=torch.bool)
        return rmsd(own.flatten(1, 2), target.flatten(1, 2), mask).tolist()

    @property
    def _fixed(self) -> torch.Tensor | None:
        """Residues of the motif.  [L] bool"""
        return None if self.subject.fixed is None else torch.from_numpy(self.subject.fixed)

    def _motif(self, like: torch.Tensor) -> torch.Tensor:
        """Coordinates of the motif for each of S samples.  [S, L, 4, 3]"""
        assert self.subject.motif is not None
        return torch.from_numpy(self.subject.motif).to(like).expand_as(like)

    def _stack(self, paths: Sequence[Path]) -> np.ndarray:
        return np.stack([path.x for path in paths]).reshape(len(paths), -1, POINTS, 3)
