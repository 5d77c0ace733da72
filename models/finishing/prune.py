"""Which conformers of an ensemble are distinct?

Two conformers are duplicates when their RMSD after the best superposition and the best matching of equivalent atoms is
below a threshold.  Comparing all in full would take S^2 / 2 pairs x A matchings; a bound from sorted distances leaves
few pairs, and the covariances of all matchings of a pair come out of one matrix product.  NumPy, because the processes
that finish ensembles load no torch.

Axes: S conformers, n atoms that count, A matchings, M cells, D distances, P pairs of conformers.  Coordinates are in Å.
"""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from models.data.matchings import MAX_MATCHES, shape_matchings

_ROWS = 64  # conformers whose bounds are computed together
_SUPERPOSITIONS = 8_192  # computed together: they stay in the cache
_SLACK_ANG = 1e-6  # rounding of the bound


def distinct(
    mol: Chem.Mol,
    coordinates: np.ndarray,
    rmsd_ang: float,
    order: Sequence[int] | None = None,
    max_matches: int = MAX_MATCHES,
) -> list[int]:
    """Conformers that are left when of each group of duplicates the first in `order` is kept.

    Each conformer in turn is kept if it is at least `rmsd_ang` away from all that were kept before it.  So those that
    are left are all that far apart, everything left out is closer than that to one that is left, and what is left
    stays when it is pruned again.  Heavy atoms count; all atoms where there are fewer than three heavy ones.

    At most `max_matches` matchings are tried.  Up to that number the result is exact and does not change when
    equivalent atoms change places.  Molecules with more of them (long perfluoroalkyl chains, many phenyl or tert-butyl
    groups) may keep duplicates whose matching was not tried; what is left out is a duplicate all the same.

    Args:
        mol: The molecule.
        coordinates: Finite, Å.  [S, N, 3]
        rmsd_ang: Threshold, Å.
        order: Best first; as they stand by default.
        max_matches: Most matchings of equivalent atoms.

    Returns:
        Places of the conformers that are left, in `order`.
    """
    places = np.arange(len(coordinates)) if order is None else np.asarray(order, dtype=np.int64)
    if not len(places):
        return []
    found = shape_matchings(mol, max_matches)
    x = centred(coordinates, found.atoms)[places]
    overlap, profile = Overlap(found.matchings), profiles(x, found.matchings)
    size, length = np.einsum("sni,sni->s", x, x), np.einsum("sd,sd->s", profile, profile)
    limit, near = rmsd_ang**2 * x.shape[1], (rmsd_ang + _SLACK_ANG) ** 2
    portion = max(1, _SUPERPOSITIONS // len(found.matchings))
    kept: list[int] = []
    for start in range(0, len(x), _ROWS):
        rows, known = np.arange(start, min(start + _ROWS, len(x))), len(kept)
        others = np.concatenate((np.arange(known), rows))
        bound = length[rows, None] + length[others] - 2 * profile[rows] @ profile[others].T
        candidates = np.concatenate((np.ones(known, dtype=bool), np.zeros(len(rows), dtype=bool)))
        for row, own in zip(rows.tolist(), bound, strict=True):
            likely = np.flatnonzero(candidates & (own < near))
            likely = others[likely[np.argsort(own[likely], kind="stable")]]  # a duplicate is soon found
            parts = (likely[at : at + portion] for at in range(0, len(likely), portion))
            if not any((size[row] + size[part] - 2 * overlap(x[row], x[part]) < limit).any() for part in parts):
                candidates[known + row - start] = True
                kept.append(row)
        for array in (x, profile, size, length):
            array[known : len(kept)] = array[kept[known:]]  # those that are kept lie in front
    return places[kept].tolist()


def rmsd(mol: Chem.Mol, first: np.ndarray, others: np.ndarray, max_matches: int = MAX_MATCHES) -> np.ndarray:
    """RMSD of one conformer from each of several by the rules of `distinct`, Å.  [N, 3], [P, N, 3] -> [P]"""
    found = shape_matchings(mol, max_matches)
    x, y = centred(first[None], found.atoms)[0], centred(others, found.atoms)
    squares = (x**2).sum() + (y**2).sum((1, 2)) - 2 * Overlap(found.matchings)(x, y)
    return np.sqrt(np.maximum(squares, 0.0) / x.shape[0])


def centred(coordinates: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """The atoms that count, their centre at the origin.  [S, N, 3] -> [S, n, 3] float64"""
    x = np.asarray(coordinates, dtype=np.float64)[:, atoms]
    return x - x.mean(axis=1, keepdims=True)


class Overlap:
    """Largest overlap of one conformer with each of several, over all rotations and matchings p.

    The covariance C_p = sum_n x_n y_p(n)^T is a sum over cells (n, p(n)).  Cells are shared by many matchings, so all
    C_p are one product of a matrix of zeros and ones, the same for all pairs, with the outer products of the cells.
    """

    def __init__(self, matchings: np.ndarray) -> None:
        count = matchings.shape[1]
        self._still = np.flatnonzero((matchings == np.arange(count)).all(0))  # one cell for all that never move
        moving = np.setdiff1d(np.arange(count), self._still)
        cells, which = np.unique(moving * count + matchings[:, moving], return_inverse=True)
        self._from, self._to = np.divmod(cells, count)
        self._uses = np.zeros((len(matchings), 1 + len(cells)))
        self._uses[:, 0] = 1.0
        np.put_along_axis(self._uses, 1 + which.reshape(len(matchings), -1), 1.0, axis=1)

    def __call__(self, x: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Å^2.  [n, 3], [P, n, 3] -> [P]"""
        y = np.ascontiguousarray(others.transpose(1, 2, 0))
        outer = np.empty((1 + len(self._from), 3, 3, len(others)))
        outer[0] = np.tensordot(x[self._still], y[self._still], axes=(0, 0))
        np.multiply(x[self._from][:, :, None, None], y[self._to][:, None], out=outer[1:])
        covariance = self._uses @ outer.reshape(len(outer), -1)
        return best_overlap(covariance.reshape(-1, 3, 3, len(others)).transpose(1, 2, 0, 3)).max(axis=0)


def best_overlap(covariance: np.ndarray) -> np.ndarray:
    """Largest overlap that a proper rotation reaches: s1 + s2 + sign(det C) s3 for the singular values s of C.

    s1^2 is the largest root of a cubic, the characteristic polynomial of C C^T.  The other two come from the trace and
    the determinant, (s2 +- s3)^2 = tr C C^T - s1^2 + 2 det C / s1, which keeps its digits where roots are equal or
    vanish.  The same as `models.geometry.alignment.best_overlap`, at a tenth of the time of NumPy's SVD.

    Args:
        covariance: C = sum_n x_n y_n^T, Å^2.  [3, 3, ...]

    Returns:
        Å^2.  [...]

    Source:
        Kabsch 1978; Smith 1961, "Eigenvalues of a symmetric 3 x 3 matrix".
    """
    (a, b, c), (d, e, f), (g, h, i) = covariance
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    xx, yy, zz = a * a + b * b + c * c, d * d + e * e + f * f, g * g + h * h + i * i
    xy, xz, yz = a * d + b * e + c * f, a * g + b * h + c * i, d * g + e * h + f * i
    trace = xx + yy + zz
    mean = trace / 3
    xx, yy, zz = xx - mean, yy - mean, zz - mean
    spread = np.sqrt((xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
    half = (xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)) / 2
    cube = spread * spread * spread
    angle = np.arccos(np.clip(np.divide(half, cube, out=np.zeros_like(half), where=cube > 0), -1.0, 1.0)) / 3
    largest = mean + 2 * spread * np.cos(angle)
    s1 = np.sqrt(largest)
    mixed = np.divide(2 * determinant, s1, out=np.zeros_like(determinant), where=s1 > 0)
    return s1 + np.sqrt(np.maximum(trace - largest + mixed, 0.0))


def profiles(x: np.ndarray, matchings: np.ndarray) -> np.ndarray:
    """Sorted distances whose Euclidean distance is never above the RMSD of two conformers.

    With both centred and superposed and d_n what is left at atom n, sum_{m<n} |d_m - d_n|^2 = n sum_n |d_n|^2 =
    n^2 RMSD^2, and |d_m - d_n| is at least the change of the distance between m and n.  No matching leaves the orbit
    of a pair of atoms, and within an orbit the sorted order gives the least sum of squares.

    Args:
        x: Centred, Å.  [S, n, 3]
        matchings: [A, n]

    Returns:
        Å.  [S, D]
    """
    count = x.shape[1]
    upper = np.triu_indices(count, 1)
    orbit = _orbits(matchings)[upper]
    order = np.argsort(orbit, kind="stable")
    first, second = upper[0][order], upper[1][order]
    profile = np.empty((len(x), len(order)))
    for row, points in zip(profile, x, strict=True):  # one by one: all pairs of all conformers would fill the memory
        row[:] = np.linalg.norm(points[first] - points[second], axis=-1) / count
    ends = np.flatnonzero(np.diff(orbit[order])) + 1
    for part in np.split(profile, ends, axis=1):
        part.sort(axis=1)
    return profile


def _orbits(matchings: np.ndarray) -> np.ndarray:
    """Least code m n + n' of the pairs of atoms that the matchings turn each pair into, in either order.  [n, n]"""
    count = matchings.shape[1]
    code = np.arange(count * count).reshape(count, count)
    code = np.minimum(code, code.T)
    while True:
        least = code
        for matching in matchings:
            least = np.minimum(least, least[np.ix_(matching, matching)])
        if (least == code).all():
            return code
        code = least
