"""What chains look like, counted chain by chain, and how far two sets of counts are apart.

Counts are kept for each chain, so that they can be pooled and resampled.  Axes: M chains, S of them of one length, L
residues, K bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.data.peptides import SECONDARY
from models.evaluation.backbones.chains import Group, per_length
from models.evaluation.backbones.extras import load_extra
from models.evaluation.conformers import INTERVAL_PERCENT
from models.geometry.backbone import backbone_torsions

ANGLE_BINS = 24  # of 15 degrees, for phi and for psi
DISTANCE_ANG = np.append(np.arange(0.0, 61.0), np.inf)  # CA to CA, three or more residues apart
RG_RATIO = np.concatenate(([0.0], np.linspace(0.7, 1.8, 12), [np.inf]))
SHARE_STEPS = 5  # of helix and of strand, .2 each
_RESAMPLES = 1_000
_DSSP_CHAINS = 16  # at once; it needs many arrays of L x L
_DSSP_CODES = "CHE"  # the order of pydssp


@dataclass(frozen=True)
class Counts:
    """Counts of M chains.

    Attributes:
        composition: Residues that are H, E, C, in the order of `SECONDARY`.  [M, 3]
        content: The bin of helix and strand share that the chain is in, one count each.  [M, 25]
        torsions: Residues by phi and psi.  [M, 576]
        distances: Pairs of CA by distance.  [M, 61]
    """

    composition: np.ndarray
    content: np.ndarray
    torsions: np.ndarray
    distances: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Share of H, E and C of each chain.  [M, 3]"""
        return self.composition / np.maximum(self.composition.sum(1, keepdims=True), 1)


def count(group: Group) -> Counts:
    """Count everything; chains that are not finite count as coil at no angle and no distance."""
    group = Group(group.name, tuple(np.where(np.isfinite(chain), chain, np.nan) for chain in group.chains))
    composition = np.array(per_length(group, secondary_counts)).reshape(-1, 3)
    shares = composition / np.maximum(composition.sum(1, keepdims=True), 1)
    step = np.minimum((shares[:, :2] * SHARE_STEPS).astype(int), SHARE_STEPS - 1)
    content = np.eye(SHARE_STEPS**2)[step[:, 0] * SHARE_STEPS + step[:, 1]]
    torsions = np.array(per_length(group, torsion_counts)).reshape(-1, ANGLE_BINS**2)
    distances = np.array(per_length(group, distance_counts)).reshape(-1, len(DISTANCE_ANG) - 1)
    return Counts(composition, content, torsions, distances)


def secondary_counts(x: np.ndarray) -> np.ndarray:
    """Residues in helix, strand and coil by hydrogen bonds.  [S, L, 4, 3] -> [S, 3]

    Source:
        Kabsch and Sander 1983, as simplified in pydssp (Minami 2023), three states.
    """
    finite = np.isfinite(x).all((1, 2, 3))
    codes = np.zeros(x.shape[:2], np.int64)
    for rows in np.array_split(np.flatnonzero(finite), -(-int(finite.sum()) // _DSSP_CHAINS) or 1):
        if len(rows):
            codes[rows] = load_extra("pydssp").assign(x[rows], out_type="index")
    return np.stack([(codes == _DSSP_CODES.index(letter)).sum(1) for letter in SECONDARY], axis=1)


def torsion_counts(x: np.ndarray) -> np.ndarray:
    """Residues by phi and psi, the two at the ends left out.  [S, L, 4, 3] -> [S, 576]"""
    phi, psi, _ = (angle[:, 1:-1] for angle in backbone_torsions(x))
    known = np.isfinite(phi) & np.isfinite(psi)
    first, second = (_angle_bin(np.where(known, angle, 0)) for angle in (phi, psi))
    return _count_rows(first * ANGLE_BINS + second, known, ANGLE_BINS**2)


def distance_counts(x: np.ndarray) -> np.ndarray:
    """Pairs of CA by distance in steps of 1 Å, those of three or more residues apart.  [S, L, 4, 3] -> [S, 61]"""
    alpha = x[:, :, 1]
    first, second = np.triu_indices(x.shape[1], 3)
    distance = np.linalg.norm(alpha[:, first] - alpha[:, second], axis=-1)
    known = np.isfinite(distance)
    bins = np.digitize(np.where(known, distance, 0), DISTANCE_ANG) - 1
    return _count_rows(bins, known, len(DISTANCE_ANG) - 1)


def rg_counts(ratios: np.ndarray) -> np.ndarray:
    """One count each in bins of radius of gyration over that of compact natural chains.  [M] -> [M, 13]"""
    known = np.where(np.isfinite(ratios), ratios, 0)
    return np.eye(len(RG_RATIO) - 1)[np.digitize(known, RG_RATIO) - 1]


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of counts, base 2: 0 for equal shares, 1 for shares without a common bin.

    It is the divergence, not its square root.  NaN where there is nothing to compare.

    Args:
        p: Counts; they need not have the same sum.  [..., K]
        q: Counts.  [..., K]

    Returns:
        [...]

    Source:
        Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p, q = (side / side.sum(-1, keepdims=True) for side in (p, q))
        middle = (p + q) / 2
        parts = [np.where(side > 0, side * np.log2(side / middle), 0 * middle).sum(-1) for side in (p, q)]
    return np.clip((parts[0] + parts[1]) / 2, 0, 1)


def divergence_with_interval(
    counts: np.ndarray, reference: np.ndarray, seed: int = 0
) -> tuple[float, float, float] | None:
    """Divergence of pooled counts and its 95 % bootstrap interval over the chains of `counts`; None without any.

    Resampled chains are less various than chains, which makes every resampled divergence larger; the interval is moved
    down by as much as they are larger on average.  [M, K], [M2, K]
    """
    if not counts.sum() or not reference.sum():
        return None
    pooled = reference.sum(0)
    resampled = divergence(_resamples(len(counts), seed) @ counts, pooled)
    value, low, high = _around(float(divergence(counts.sum(0), pooled)), resampled)
    return value, max(0.0, low), high


def divergence_change(
    counts: np.ndarray, base: np.ndarray, reference: np.ndarray, seed: int = 0
) -> tuple[float, float, float] | None:
    """Divergence of `counts` less that of `base`, and its 95 % bootstrap interval; None where one of them is empty.

    Chain k of both has the same seed, so the two are resampled together; the interval is moved as that of
    `divergence_with_interval`.  [M, K], [M, K], [M2, K]
    """
    if not counts.sum() or not base.sum() or not reference.sum():
        return None
    pooled, rows = reference.sum(0), _resamples(len(counts), seed)
    resampled = divergence(rows @ counts, pooled) - divergence(rows @ base, pooled)
    return _around(float(divergence(counts.sum(0), pooled) - divergence(base.sum(0), pooled)), resampled)


def _resamples(count: int, seed: int) -> np.ndarray:
    """How often each chain is in each resample.  [R, count]"""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _RESAMPLES)


def _around(value: float, resampled: np.ndarray) -> tuple[float, float, float]:
    """A value and the interval of its resamples, moved by as much as their mean is off."""
    low, high = np.nanpercentile(resampled, INTERVAL_PERCENT) - (np.nanmean(resampled) - value)
    return value, float(low), float(high)


def _angle_bin(angle: np.ndarray) -> np.ndarray:
    return np.floor((np.degrees(angle) + 180) / (360 / ANGLE_BINS)).astype(np.int64) % ANGLE_BINS


def _count_rows(bins: np.ndarray, known: np.ndarray, number: int) -> np.ndarray:
    """How often each row has each bin.  [S, P] -> [S, number]"""
    rows = np.arange(len(bins))[:, None] * number
    return np.bincount((rows + bins)[known], minlength=len(bins) * number).reshape(len(bins), number)
