"""Is a sampled backbone one that a protein could have?

Axes: S backbones of one length, L residues, points N, CA, C, O.  Coordinates in angstrom, angles in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.data.peptides import BREAK_ANG, PEPTIDE_BREAK_ANG
from models.data.ramachandran import FAVOURED, OUTLIER, classify
from models.geometry.backbone import backbone_torsions
from models.geometry.internal import angles, torsions

CA_STEP_ANG, CA_STEP_ROOM_ANG = 3.8, 0.1
CA_CLASH_ANG = 3.0  # residues that are not neighbours
LEAST_ALLOWED = 0.9
LEAST_RIGHT_HANDED = 0.8  # natural chains have single turns of the other hand
_HELIX_TORSION = (np.radians(30), np.radians(75))  # of four CA, either hand
_HELIX_SPAN_ANG = 6.0  # first to last of them

REASONS = {
    "not_finite": "a coordinate is not a finite number",
    "chain_break": f"neighbours are more than {BREAK_ANG} A (CA) or {PEPTIDE_BREAK_ANG} A (C to N) apart",
    "clash": f"two residues that are not neighbours have their CA closer than {CA_CLASH_ANG} A",
    "wrong_hand": "helices turn left, or phi is mostly positive: residues would be D",
    "ramachandran": f"less than {LEAST_ALLOWED:.0%} of the residues are in allowed regions",
}


@dataclass(frozen=True)
class BackboneQuality:
    """What was measured of S backbones; means are over residues.

    Attributes:
        ca_step_share: Share of CA to CA steps of 3.8 A to 0.1 A.  [S]
        bond_error_ang: Root mean square deviation of N-CA, CA-C, C-O and C-N from their ideal lengths.  [S]
        angle_error_deg: The same of the three angles of the chain.  [S]
        trans_share: Share of peptide bonds within 30 degrees of trans.  [S]
        favoured: Share of residues in favoured regions.  [S]
        allowed: Share of residues in favoured or allowed regions.  [S]
        breaks: Chain breaks.  [S] int64
        clashes: CA pairs that clash.  [S] int64
        right_handed: Share of helical turns that are right-handed; 1 without helix.  [S]
        negative_phi: Share of residues with negative phi.  [S]
        rg_ang: Radius of gyration of the CA.  [S]
        rg_ratio: The same over 2.642 L^0.353, the mean of compact natural chains.  [S]
        faults: First fault of each, or None; see `REASONS`.  [S]
    """

    ca_step_share: np.ndarray
    bond_error_ang: np.ndarray
    angle_error_deg: np.ndarray
    trans_share: np.ndarray
    favoured: np.ndarray
    allowed: np.ndarray
    breaks: np.ndarray
    clashes: np.ndarray
    right_handed: np.ndarray
    negative_phi: np.ndarray
    rg_ang: np.ndarray
    rg_ratio: np.ndarray
    faults: tuple[str | None, ...]


def measure_backbones(x: np.ndarray) -> BackboneQuality:
    """Measure backbones of one length, and decide which pass.

    Args:
        x: N, CA, C, O, Å.  [S, L, 4, 3] with L of 5 or more

    Returns:
        One value for each.
    """
    finite = np.isfinite(x).all((1, 2, 3))
    x = np.where(finite[:, None, None, None], x, 0.0)
    nitrogen, alpha, carbon, oxygen = (x[:, :, k] for k in range(4))
    step = _length(alpha[:, 1:] - alpha[:, :-1])
    peptide = _length(nitrogen[:, 1:] - carbon[:, :-1])
    lengths = (
        (_length(alpha - nitrogen), 1.459), (_length(carbon - alpha), 1.525), (_length(oxygen - carbon), 1.231),
        (peptide, 1.331),
    )  # fmt: skip
    phi, psi, omega = backbone_torsions(x)
    bends = _bends(x)
    regions = classify(phi[:, 1:-1], psi[:, 1:-1])
    apart = _length(alpha[:, :, None] - alpha[:, None])
    far = np.triu(np.ones(apart.shape[1:], bool), 2)
    right = _right_handed(alpha)
    rg = np.sqrt(np.square(alpha - alpha.mean(1, keepdims=True)).sum(-1).mean(1))
    quality = BackboneQuality(
        ca_step_share=(np.abs(step - CA_STEP_ANG) <= CA_STEP_ROOM_ANG).mean(1),
        bond_error_ang=_rms([length - ideal for length, ideal in lengths]),
        angle_error_deg=np.degrees(_rms([bend - np.radians(ideal) for bend, ideal in bends])),
        trans_share=(np.abs(omega[:, :-1]) > np.radians(150)).mean(1),
        favoured=(regions == FAVOURED).mean(1),
        allowed=(regions != OUTLIER).mean(1),
        breaks=((step > BREAK_ANG) | (peptide > PEPTIDE_BREAK_ANG)).sum(1),
        clashes=((apart < CA_CLASH_ANG) & far).sum((1, 2)),
        right_handed=right,
        negative_phi=(phi[:, 1:] < 0).mean(1),
        rg_ang=rg,
        rg_ratio=rg / (2.642 * x.shape[1] ** 0.353),
        faults=(),
    )
    # in the order of `REASONS`
    failed = np.stack((
        ~finite, quality.breaks > 0, quality.clashes > 0,
        (right < LEAST_RIGHT_HANDED) | (quality.negative_phi < 0.5), quality.allowed < LEAST_ALLOWED,
    ))  # fmt: skip
    words = list(REASONS)
    faults = tuple(words[int(column.argmax())] if column.any() else None for column in failed.T)
    return BackboneQuality(**{**vars(quality), "faults": faults})


def _bends(x: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """N-CA-C, CA-C-N and C-N-CA with their ideal values in degrees."""
    count = x.shape[1]
    every, here, after = 4 * torch.arange(count), 4 * torch.arange(count - 1), 4 * torch.arange(1, count)
    flat = torch.from_numpy(x.reshape(len(x), -1, 3))
    triples = (
        (torch.stack((every, every + 1, every + 2), 1), 111.0),
        (torch.stack((here + 1, here + 2, after), 1), 116.9),
        (torch.stack((here + 2, after, after + 1), 1), 121.7),
    )
    return [(angles(flat, triple).numpy(), ideal) for triple, ideal in triples]


def _right_handed(alpha: np.ndarray) -> np.ndarray:
    """Share of helical turns that are right-handed; 1 where there is none.  [S, L, 3] -> [S]

    A turn counts if the next one is of the same hand: single turns of either hand are common outside of helices.
    """
    place = torch.arange(alpha.shape[1] - 3)[:, None] + torch.arange(4)
    turn = torsions(torch.from_numpy(alpha), place).numpy()
    size = np.abs(turn)
    tight = _length(alpha[:, 3:] - alpha[:, :-3]) < _HELIX_SPAN_ANG
    hand = np.sign(turn) * (tight & (size > _HELIX_TORSION[0]) & (size < _HELIX_TORSION[1]))
    pair = hand[:, 1:] * (hand[:, 1:] == hand[:, :-1])
    number = np.abs(pair).sum(1)
    return np.where(number > 0, (pair > 0).sum(1) / np.maximum(number, 1), 1.0)


def _length(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(v).sum(-1))


def _rms(parts: list[np.ndarray]) -> np.ndarray:
    """Root mean square over all entries of all parts.  [S, ...] each -> [S]"""
    return np.sqrt(np.square(np.concatenate(parts, axis=1)).mean(1))
