"""What RDKit makes of the same molecules: ETKDGv3, and ETKDGv3 followed by MMFF94s.

Axes: S conformers, N atoms.  Coordinates are in Å.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from models.data.mmff import has_parameters, relax
from models.evaluation.conformers import Sampled, Score, Target, score

EMBEDDED, RELAXED = "ETKDGv3", "ETKDGv3 + MMFF94s"


@dataclass(frozen=True)
class BaselineJob:
    """One molecule to embed and relax.

    Attributes:
        target: What to make and what to compare with.
        timeout_s: Time limit of the embedding, s.
        clock: Seconds; a function that worker processes can import.
    """

    target: Target
    timeout_s: float
    clock: Callable[[], float]


def embed(mol: Chem.Mol, count: int, seed: int, timeout_s: float) -> tuple[np.ndarray, str | None]:
    """Embed with ETKDGv3, without pruning.

    RDKit drops everything when the time is up, and then still lists one conformer, -1; so the conformers are counted.

    Args:
        mol: Molecule with explicit hydrogens and full stereo.
        count: Conformers.
        seed: Above 0; with 0 RDKit repeats one conformer.
        timeout_s: Time limit of the molecule, rounded up to whole seconds.

    Returns:
        Coordinates; fewer than asked for where single conformers failed.  [S, N, 3]
        Why there are none, or None.
    """
    copy = Chem.Mol(mol)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.timeout = ceil(timeout_s)
    parameters.numThreads = 1
    failure: str | None = None
    with rdBase.BlockLogs():
        try:
            returned = list(rdDistGeom.EmbedMultipleConfs(copy, count, parameters))
            if not copy.GetNumConformers():
                failure = "embedding_timeout" if returned == [-1] else "embedding_failed"
        except (RuntimeError, ValueError):  # broken invariants of RDKit
            failure = "embedding_error"
    kept = [] if failure else [conformer.GetPositions() for conformer in copy.GetConformers()]
    return np.array(kept).reshape(-1, mol.GetNumAtoms(), 3), failure


def embed_target(target: Target, timeout_s: float) -> Sampled:
    """ETKDGv3 conformers of one molecule."""
    x, failure = embed(target.molecule.mol, target.requested, target.seed, timeout_s)
    return Sampled(target, x, None if len(x) else failure)


def relax_samples(embedded: Sampled) -> Sampled:
    """The same conformers after MMFF94s."""
    target, mol = embedded.target, embedded.target.molecule.mol
    if not len(embedded.samples):
        return replace(embedded, counts={"unconverged": 0})
    if not has_parameters(mol):
        return Sampled(target, embedded.samples[:0], "no_mmff_parameters", counts={"unconverged": 0})
    minima = relax(mol, embedded.samples)
    return Sampled(target, minima.coordinates, counts={"unconverged": int(minima.moving.sum())})


def score_baseline(job: BaselineJob) -> dict[str, Score]:
    """Both baseline rows of one molecule; the time of the second includes the first."""
    began = job.clock()
    raw = embed_target(job.target, job.timeout_s)
    embedded_s = job.clock() - began
    began = job.clock()
    relaxed = relax_samples(raw)
    relaxed_s = embedded_s + job.clock() - began
    return {
        EMBEDDED: score(replace(raw, seconds=embedded_s)),
        RELAXED: score(replace(relaxed, seconds=relaxed_s)),
    }
