"""Torsions of protein backbones.

Axes: S backbones of one length, L residues, points N, CA, C, O.
"""

import numpy as np
import torch

from models.geometry.internal import torsions


def backbone_torsions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phi, psi and omega of each residue; NaN where the chain ends.  [S, L, 4, 3] -> three of [S, L]

    Omega belongs to the bond to the next residue.
    """
    count = x.shape[1]
    here, after = 4 * torch.arange(count - 1), 4 * torch.arange(1, count)
    flat = torch.from_numpy(x.reshape(len(x), -1, 3))
    quadruples = (
        torch.stack((here + 2, after, after + 1, after + 2), 1),
        torch.stack((here, here + 1, here + 2, after), 1),
        torch.stack((here + 1, here + 2, after, after + 1), 1),
    )
    phi, psi, omega = (torsions(flat, q).numpy() for q in quadruples)
    end = np.full((len(x), 1), np.nan, dtype=phi.dtype)
    return np.concatenate((end, phi), 1), np.concatenate((psi, end), 1), np.concatenate((omega, end), 1)
