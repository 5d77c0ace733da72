"""Where phi and psi of real proteins lie: favoured, allowed and outlier regions.

The regions are level sets of a smoothed histogram of training chains, glycine, proline and residues before proline
left out (the "general" case), since sampled backbones have no side chains: the favoured region holds 98 % of those
residues, favoured and allowed together 99.8 %.

Source:
    Lovell et al. 2003, "Structure validation by Calpha geometry", for the shares; the table is our own, made by
    `build_table`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from models.data.backbones import BackboneSet
from models.geometry.backbone import backbone_torsions

BINS = 72  # of 5 degrees, from -180
OUTLIER, ALLOWED, FAVOURED = 0, 1, 2
_SHARES = {FAVOURED: 0.98, ALLOWED: 0.998}
_WIDTH_DEG = 5.0  # of the kernel, where the density is high; twice and four times as much where it is low
_PATH = Path(__file__).with_name("ramachandran.npy")


def bin_of(angle: np.ndarray) -> np.ndarray:
    """Bin of an angle in radians; any angle is brought into the range.  [...] -> [...] int64"""
    return np.floor((np.degrees(angle) + 180) / (360 / BINS)).astype(np.int64) % BINS


def classify(phi: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Region of each residue: `FAVOURED`, `ALLOWED` or `OUTLIER`; angles that are not finite are outliers.

    Args:
        phi: Radians.  [...]
        psi: Radians.  [...]

    Returns:
        Regions.  [...] uint8
    """
    known = np.isfinite(phi) & np.isfinite(psi)
    regions = _table()[bin_of(np.where(known, phi, 0)), bin_of(np.where(known, psi, 0))]
    return np.where(known, regions, OUTLIER)


def general_angles(chains: BackboneSet) -> tuple[np.ndarray, np.ndarray]:
    """Phi and psi of every residue that is neither glycine nor proline nor before a proline.  Two of [R]

    The shipped table is `build_table(*general_angles(chains))` of the training chains that are `core`.
    """
    phi, psi, general = [], [], []
    for number in range(len(chains)):
        inside = slice(chains.offsets[number], chains.offsets[number + 1])
        first, second, _ = backbone_torsions(chains.coordinates[inside][None])
        proline = chains.sequence[inside] == ord("P")
        left_out = proline | (chains.sequence[inside] == ord("G")) | np.append(proline[1:], True)
        left_out[0] = True
        phi.append(first[0])
        psi.append(second[0])
        general.append(~left_out)
    kept = np.concatenate(general)
    return np.concatenate(phi)[kept], np.concatenate(psi)[kept]


def build_table(phi: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Regions from the angles of real residues.

    Args:
        phi: Radians.  [R]
        psi: Radians.  [R]

    Returns:
        Region of each bin of phi and psi.  [72, 72] uint8
    """
    counts = np.zeros((BINS, BINS))
    np.add.at(counts, (bin_of(phi), bin_of(psi)), 1.0)
    narrow, middle, wide = (_smooth(counts, _WIDTH_DEG * factor) for factor in (1, 2, 4))
    # few residues need a wide kernel, or each becomes an island
    density = np.where(narrow > 20, narrow, np.where(middle > 5, middle, wide))
    order = np.argsort(-density, axis=None)
    held = np.cumsum(counts.reshape(-1)[order]) / counts.sum()
    regions = np.zeros(BINS * BINS, np.uint8)
    for region in (ALLOWED, FAVOURED):
        regions[order[: int(np.searchsorted(held, _SHARES[region])) + 1]] = region
    return regions.reshape(BINS, BINS)


def _smooth(counts: np.ndarray, width_deg: float) -> np.ndarray:
    """Periodic Gaussian smoothing."""
    frequency = np.fft.fftfreq(BINS, 360 / BINS)
    kernel = np.exp(-2 * (np.pi * width_deg * frequency) ** 2)
    return np.fft.ifft2(np.fft.fft2(counts) * kernel[:, None] * kernel[None]).real


@cache
def _table() -> np.ndarray:
    return np.load(_PATH)
