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
# N, CA, C and O of residues two places apart and more; about 97 % of natural chains have all of them further apart.
CLASH_ANG = ((2.7, 2.5, 2.5, 2.3), (2.5, 3.0, 3.0, 2.5), (2.5, 3.0, 3.0, 2.5), (2.3, 2.5, 2.5, 2.3))
MOST_BOND_ERROR_ANG = 0.15
MOST_ANGLE_ERROR_DEG = 12.0
MOST_TWISTED = 0.02
LEAST_ALLOWED = 0.9
LEAST_RIGHT_HANDED = 0.8  # natural chains have single turns of the other hand
_HELIX_TORSION = (np.radians(30), np.radians(75))  # of four CA, either hand
_HELIX_SPAN_ANG = 6.0  # first to last of them

REASONS = {
    "not_finite": "a coordinate is not a finite number",
    "chain_break": f"neighbours are more than {BREAK_ANG} A (CA) or {PEPTIDE_BREAK_ANG} A (C to N) apart",
    "clash": f"atoms of residues that are not neighbours are closer than {CLASH_ANG[1][1]} A (carbons), "
    f"{CLASH_ANG[0][0]} A (two N), {CLASH_ANG[0][1]} A (carbon and another), or {CLASH_ANG[0][3]} A (O and N or O)",
    "geometry": f"bonds are {MOST_BOND_ERROR_ANG} A or angles {MOST_ANGLE_ERROR_DEG:g} degrees off in the mean "
    "(root mean square); idealise, when it is off, mends that",
    "twisted": f"more than {MOST_TWISTED:.0%} of the peptide bonds are over 30 degrees from trans and from cis",
    "wrong_hand": "helices turn left, or phi is mostly positive: residues would be D",
    "ramachandran": f"less than {LEAST_ALLOWED:.0%} of the residues are in allowed regions",
}


@dataclass(frozen=True)
class BackboneQuality:
    """What was measured of S backbones; means are over residues.

    Attributes:
        ca_step_share: Share of CA to CA steps of 3.8 A to 0.1 A.  [S]
        bond_error_ang: Root mean square deviation of N-CA, CA-C, C-O and C-N from their ideal lengths.  [S]
        angle_error_deg: The same of the three angles of the chain, and of the two at C with O.  [S]
        n_ca_c_deg: Mean angle of N, CA and C; 111 in natural chains.  [S]
        trans_share: Share of peptide bonds within 30 degrees of trans.  [S]
        twisted: Peptide bonds more than 30 degrees from trans and from cis.  [S] int64
        favoured: Share of residues in favoured regions.  [S]
        allowed: Share of residues in favoured or allowed regions.  [S]
        breaks: Chain breaks.  [S] int64
        clashes: Pairs of atoms that clash; see `CLASH_ANG`.  [S] int64
        right_handed: Share of helical turns that are right-handed; 1 without helix.  [S]
        negative_phi: Share of residues with negative phi.  [S]
        rg_ang: Radius of gyration of the CA.  [S]
        rg_ratio: The same over 2.642 L^0.353, the mean of compact natural chains.  [S]
        faults: First fault of each, or None; see `REASONS`.  [S]
    """

    ca_step_share: np.ndarray
    bond_error_ang: np.ndarray
    angle_error_deg: np.ndarray
    n_ca_c_deg: np.ndarray
    trans_share: np.ndarray
    twisted: np.ndarray
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
    turned = np.abs(omega[:, :-1])
    regions = classify(phi[:, 1:-1], psi[:, 1:-1])
    right = _right_handed(alpha)
    rg = np.sqrt(np.square(alpha - alpha.mean(1, keepdims=True)).sum(-1).mean(1))
    quality = BackboneQuality(
        ca_step_share=(np.abs(step - CA_STEP_ANG) <= CA_STEP_ROOM_ANG).mean(1),
        bond_error_ang=_rms([length - ideal for length, ideal in lengths]),
        angle_error_deg=np.degrees(_rms([bend - np.radians(ideal) for bend, ideal in bends])),
        n_ca_c_deg=np.degrees(bends[0][0]).mean(1),
        trans_share=(turned > np.radians(150)).mean(1),
        twisted=((turned > np.radians(30)) & (turned < np.radians(150))).sum(1),
        favoured=(regions == FAVOURED).mean(1),
        allowed=(regions != OUTLIER).mean(1),
        breaks=((step > BREAK_ANG) | (peptide > PEPTIDE_BREAK_ANG)).sum(1),
        clashes=_clashes(x),
        right_handed=right,
        negative_phi=(phi[:, 1:] < 0).mean(1),
        rg_ang=rg,
        rg_ratio=rg / (2.642 * x.shape[1] ** 0.353),
        faults=(),
    )
    # in the order of `REASONS`
    failed = np.stack((
        ~finite, quality.breaks > 0, quality.clashes > 0,
        ~((quality.bond_error_ang <= MOST_BOND_ERROR_ANG) & (quality.angle_error_deg <= MOST_ANGLE_ERROR_DEG)),
        quality.twisted > MOST_TWISTED * turned.shape[1],
        (right < LEAST_RIGHT_HANDED) | (quality.negative_phi < 0.5), quality.allowed < LEAST_ALLOWED,
    ))  # fmt: skip
    words = list(REASONS)
    faults = tuple(words[int(column.argmax())] if column.any() else None for column in failed.T)
    return BackboneQuality(**{**vars(quality), "faults": faults})


def _bends(x: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """N-CA-C, CA-C-N, C-N-CA, CA-C-O and O-C-N with their ideal values in degrees."""
    count = x.shape[1]
    every, here, after = 4 * torch.arange(count), 4 * torch.arange(count - 1), 4 * torch.arange(1, count)
    flat = torch.from_numpy(x.reshape(len(x), -1, 3))
    triples = (
        (torch.stack((every, every + 1, every + 2), 1), 111.0),
        (torch.stack((here + 1, here + 2, after), 1), 116.9),
        (torch.stack((here + 2, after, after + 1), 1), 121.7),
        (torch.stack((every + 1, every + 2, every + 3), 1), 120.8),
        (torch.stack((here + 3, here + 2, after), 1), 123.0),
    )
    return [(angles(flat, triple).numpy(), ideal) for triple, ideal in triples]


def _clashes(x: np.ndarray) -> np.ndarray:
    """Pairs of atoms of residues two places apart and more that are too close.  [S, L, 4, 3] -> [S]"""
    count = x.shape[1]
    flat = torch.from_numpy(x).flatten(1, 2)
    place = torch.arange(count).repeat_interleave(x.shape[2])
    least = torch.tensor(CLASH_ANG, dtype=flat.dtype).repeat(count, count) * (place - place[:, None] > 1)
    distance = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return (distance < least).sum((1, 2)).numpy()


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
