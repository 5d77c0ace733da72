"""Sampled ensembles against reference ensembles: RMSD matrix, coverage, matching, and their spread over molecules.

Axes: R reference conformers, S samples, N atoms.  Distances are RMSDs of the heavy atoms after the best rigid
superposition and the best matching of equivalent atoms, Å.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdMolAlign import GetAllConformerBestRMS

from models.data.matchings import MAX_MATCHES, matches_capped
from models.evaluation.validity import Validity, check_structures
from models.structure import Molecule

RESAMPLES = 2_000
INTERVAL_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Summary:
    """One quantity over the molecules of a set.

    Attributes:
        mean: Mean over molecules.
        median: Median over molecules.
        low: Lower end of the bootstrap interval of the mean.
        high: Upper end of it.
        count: Molecules.
    """

    mean: float
    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Score:
    """Samples of one molecule, measured.

    Attributes:
        requested: Samples asked for.
        samples: Samples that there were.
        recall_ang: Distance of each reference to its nearest sample, Å; infinite without samples.  [R]
        precision_ang: Distance of each sample to its nearest reference, Å; infinite if a sample is not finite.  [S]
        capped: Whether there were more atom matchings than were tried, so that distances may be too large.
        validity: Counts of what is right and wrong in the samples.
        failure: Why there are no samples.
        seconds: Time it took to make the samples, s; None where molecules shared batches.
        counts: Further counts, such as `attempts` of the sampler or `unconverged` of the force field.
    """

    requested: int
    samples: int
    recall_ang: tuple[float, ...]
    precision_ang: tuple[float, ...]
    capped: bool
    validity: Validity
    failure: str | None = None
    seconds: float | None = None
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What the samples of one molecule are compared with.

    Attributes:
        molecule: The molecule.
        references: Reference conformers in its atom order, Å.  [R, N, 3]
        requested: Samples to make.
        seed: Fixes them.
    """

    molecule: Molecule
    references: np.ndarray
    requested: int
    seed: int


@dataclass(frozen=True)
class Sampled:
    """Samples waiting to be scored.

    Attributes:
        target: What they are compared with.
        samples: Å.  [S, N, 3]
        failure: Why there are none.
        seconds: Time it took to make them, s.
        counts: See `Score`.
    """

    target: Target
    samples: np.ndarray
    failure: str | None = None
    seconds: float | None = None
    counts: dict[str, int] = field(default_factory=dict)


def rmsd_matrix(
    mol: Chem.Mol, references: np.ndarray, samples: np.ndarray, max_matches: int = MAX_MATCHES
) -> np.ndarray:
    """Best RMSD of every reference with every sample, as RDKit's GetBestRMS gives it.

    A mirror image is not superposed.  Samples that are not finite are infinitely far away.

    Args:
        mol: Molecule with at least one heavy atom.
        references: Å.  [R, N, 3]
        samples: Å.  [S, N, 3]
        max_matches: Matchings of equivalent atoms that are tried.

    Returns:
        Heavy-atom RMSD, Å.  [R, S]
    """
    heavy = Chem.RemoveAllHs(mol)
    heavy.RemoveAllConformers()
    index = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    finite = np.isfinite(samples).all(axis=(1, 2))
    matrix = np.full((len(references), len(samples)), np.inf)
    if not finite.any() or not len(references):
        return matrix
    for x in (*references, *samples[finite]):
        conformer = Chem.Conformer(len(index))
        conformer.SetPositions(np.ascontiguousarray(x[index], dtype=np.float64))
        heavy.AddConformer(conformer, assignId=True)
    # One call matches the atoms once; ten times faster than a call for each pair, although it gives all pairs.
    total = heavy.GetNumConformers()
    pairs = np.zeros((total, total))
    pairs[np.tril_indices(total, -1)] = GetAllConformerBestRMS(heavy, numThreads=1, maxMatches=max_matches)
    matrix[:, finite] = pairs[len(references) :, : len(references)].T
    return matrix


def nearest(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each reference to its nearest sample, and of each sample to its nearest reference.

    Infinite where the other side is empty.

    Args:
        matrix: RMSD, Å.  [R, S]

    Returns:
        Recall distances, Å.  [R]
        Precision distances, Å.  [S]
    """
    return matrix.min(axis=1, initial=np.inf), matrix.min(axis=0, initial=np.inf)


def coverage(distances: np.ndarray, threshold_ang: float) -> float:
    """Share of distances strictly below the threshold; 0 if there are none."""
    return float(np.mean(distances < threshold_ang)) if len(distances) else 0.0


def matching(distances: np.ndarray) -> float | None:
    """Mean of the finite distances, Å; None if there are none."""
    finite = distances[np.isfinite(distances)]
    return float(finite.mean()) if len(finite) else None


def summarise(values: Sequence[float], seed: int = 0) -> Summary | None:
    """Mean, median and 95 % bootstrap interval of the mean over molecules; None without values.

    Source:
        Efron 1979, percentile interval.
    """
    if not len(values):
        return None
    array = np.asarray(values, dtype=np.float64)
    rows = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES, len(array)))
    low, high = np.percentile(array[rows].mean(axis=1), INTERVAL_PERCENT)
    return Summary(float(array.mean()), float(np.median(array)), float(low), float(high), len(array))


def score(sampled: Sampled) -> Score:
    """Measure the samples of one molecule."""
    target = sampled.target
    mol = target.molecule.mol
    recall, precision = nearest(rmsd_matrix(mol, target.references, sampled.samples))
    return Score(
        target.requested,
        len(sampled.samples),
        tuple(recall.tolist()),
        tuple(precision.tolist()),
        matches_capped(mol),
        check_structures(target.molecule, sampled.samples, target.references),
        sampled.failure,
        sampled.seconds,
        sampled.counts,
    )


def failed_score(requested: int, references: int, failure: str) -> Score:
    """Score of a molecule without samples that could not even be read; it covers nothing."""
    return Score(requested, 0, (float("inf"),) * references, (), False, Validity(), failure)
