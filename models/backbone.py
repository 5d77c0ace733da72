"""The records of sampled protein backbones that every other module passes around.

Axes: L residues, points N, CA, C, O.  Coordinates are in angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BackboneReport:
    """What was measured of one backbone; the law of each figure is in `models.data.quality`.

    Attributes:
        ca_step_share: Share of CA to CA steps of 3.8 Å to 0.1 Å.
        bond_error_ang: Root mean square deviation of the bonds from their ideal lengths.
        angle_error_deg: The same of the angles of the chain and of its O.
        n_ca_c_deg: Mean angle of N, CA and C.
        trans_share: Share of peptide bonds within 30 degrees of trans.
        twisted: Peptide bonds more than 30 degrees from trans and from cis.
        favoured: Share of residues in favoured Ramachandran regions.
        allowed: Share of residues in favoured or allowed regions.
        breaks: Chain breaks.
        clashes: Pairs of atoms, of residues two places apart and more, that clash.
        right_handed: Share of helical turns that are right-handed; 1 without helix.
        negative_phi: Share of residues with negative phi, as L residues have.
        rg_ang: Radius of gyration of the CA.
        rg_ratio: The same over the mean of compact natural chains of that length.
        helix: Share of residues in helices, by P-SEA.
        strand: Share of residues in strands.
        coil: Share of the others; the three are 0 where a coordinate is not finite.
        passed: Whether a protein could have this backbone.
        fault: First fault, a word of `models.data.quality.REASONS`; None if it passed.
    """

    ca_step_share: float
    bond_error_ang: float
    angle_error_deg: float
    n_ca_c_deg: float
    trans_share: float
    twisted: int
    favoured: float
    allowed: float
    breaks: int
    clashes: int
    right_handed: float
    negative_phi: float
    rg_ang: float
    rg_ratio: float
    helix: float
    strand: float
    coil: float
    passed: bool
    fault: str | None


@dataclass(frozen=True)
class Backbone:
    """One sampled backbone.

    Attributes:
        seed: The seed that makes it again.
        coordinates: N, CA, C, O, Å.  [L, 4, 3] float32
        quality: What was measured of it.
        attempts: Structures drawn for it, this one included.
        motif_rmsd_ang: How far the residues that were to be held fixed are off, after superposition; None if none were.
    """

    seed: int
    coordinates: np.ndarray
    quality: BackboneReport
    attempts: int
    motif_rmsd_ang: float | None


@dataclass(frozen=True)
class BackboneEnsemble:
    """The backbones of one requested length.

    Attributes:
        index: Its place in the request, from 0.
        id: The caller's name for it.
        length: Residues, L.
        samples: Those that were made, in seed order.
        reason: Why some are missing, a stable word; None when none is.
        detail: The same as a sentence; empty when none is missing.
        num_stopped: Samples that are missing because the work was ended before they were finished.
    """

    index: int
    id: str
    length: int
    samples: tuple[Backbone, ...]
    reason: str | None
    detail: str
    num_stopped: int = 0

    @property
    def num_returned(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    @property
    def status(self) -> str:
        """`ok` when all are there, `partial` when some are, `failed` when none is."""
        if self.reason is None:
            return "ok"
        return "partial" if self.samples else "failed"
