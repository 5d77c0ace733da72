"""Numbers that describe the fold of a backbone of any length, and that no rigid motion changes.

Axes: S backbones of one length, L residues, D numbers.  Coordinates in angstrom.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.evaluation.backbones.histograms import ANGLE_BINS, torsion_counts
from models.geometry.backbone import backbone_torsions

CONTACT_ANG = 7.0  # CA to CA; neighbours in a sheet, and turns of a helix
_SEPARATIONS = (3, 4, 5, 6, 10, 20, 40, 80, 10_000)  # residues
_COSINES = 4  # equal bins: antiparallel, crossing twice, parallel
_LAGS = (4, 8, 12, 16, 24, 32, 48)
_HELIX = ((-110.0, -30.0), (-80.0, 0.0))  # phi and psi, degrees
_STRAND_PHI, _STRAND_PSI = (-180.0, -45.0), 90.0  # psi above
_WINDOW = 5
_EDGE = ((0, 0), (_WINDOW // 2, _WINDOW // 2))


def describe_folds(x: np.ndarray) -> np.ndarray:
    """Torsions, contacts by separation and direction, and how helix and strand follow each other.

    Args:
        x: N, CA, C, O, Å, finite.  [S, L, 4, 3]

    Returns:
        [S, D]
    """
    coarse = torsion_counts(x).reshape(len(x), ANGLE_BINS // 2, 2, ANGLE_BINS // 2, 2).sum((2, 4))
    parts = [np.sqrt(coarse.reshape(len(x), -1) / x.shape[1]), np.sqrt(_contacts(x[:, :, 1])), _order(x)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _contacts(alpha: np.ndarray) -> np.ndarray:
    """Contacts per residue by separation along the chain and by the angle of the two chain directions.  [S, 32]"""
    count = alpha.shape[1]
    heading = np.zeros_like(alpha)
    heading[:, 1:-1] = alpha[:, 2:] - alpha[:, :-2]
    heading /= np.maximum(np.linalg.norm(heading, axis=-1, keepdims=True), 1e-6)
    first, second = np.triu_indices(count, _SEPARATIONS[0])
    close = np.square(alpha[:, first] - alpha[:, second]).sum(-1) < CONTACT_ANG**2
    rows, pairs = np.nonzero(close)
    cosine = (heading[rows, first[pairs]] * heading[rows, second[pairs]]).sum(-1)
    bend = np.clip(((cosine + 1) / 2 * _COSINES).astype(np.int64), 0, _COSINES - 1)
    apart = np.digitize(second[pairs] - first[pairs], _SEPARATIONS) - 1
    kinds = (len(_SEPARATIONS) - 1) * _COSINES
    bins = rows * kinds + apart * _COSINES + bend
    return np.bincount(bins, minlength=len(alpha) * kinds).reshape(len(alpha), kinds) / count


def _order(x: np.ndarray) -> np.ndarray:
    """Shares of helix and strand, and how often either follows either at some distances along the chain.  [S, 30]"""
    phi, psi, _ = (np.nan_to_num(np.degrees(angle)) for angle in backbone_torsions(x))
    (low, high), (least, most) = _HELIX
    helix = (phi > low) & (phi < high) & (psi > least) & (psi < most)
    strand = (phi > _STRAND_PHI[0]) & (phi < _STRAND_PHI[1]) & (psi > _STRAND_PSI)
    smooth = [sliding_window_view(np.pad(kind, _EDGE), _WINDOW, axis=1).mean(-1) for kind in (helix, strand)]
    tracks = [np.maximum(2 * track - 1, 0) for track in smooth]  # most of a window is of one kind
    columns = [track.mean(1) for track in tracks]
    for lag in _LAGS:
        for one in tracks:
            for other in tracks:
                columns.append((one[:, :-lag] * other[:, lag:]).sum(1) / x.shape[1])
    return np.sqrt(np.stack(columns, axis=1))
