"""One molecule of a test set: what to sample, and what to compare the samples with.

Axes: R reference conformers, N atoms.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from rdkit import Chem, rdBase

from models.data.datasets import ReferenceMolecule
from models.data.molecule import build_molecules, read_smiles
from models.errors import DataError, MoleculeError
from models.evaluation.conformers import Target
from models.evaluation.validity import deviations


@dataclass(frozen=True)
class Case:
    """One molecule of the set.

    Attributes:
        smiles: As the set spells it.
        references: Number of reference conformers after the cut.
        target: What is sampled and compared with; None if the molecule cannot be used.
        failure: Why it cannot be used.
    """

    smiles: str
    references: int
    target: Target | None
    failure: str | None = None


def read_cases(
    references: Iterable[ReferenceMolecule], max_references: int, max_molecules: int | None, seed: int
) -> list[Case]:
    """Read each molecule as a request would be read, and put its references into that atom order.

    Stereo that a SMILES leaves open is chosen by the seed, as the service would, whatever the references show.

    Args:
        references: The set.
        max_references: Most reference conformers of a molecule, evenly spaced.
        max_molecules: Most molecules, evenly spaced; None takes all.
        seed: Fixes the seeds of the molecules.

    Returns:
        One case per molecule; those that cannot be used say why.

    Raises:
        DataError: The set is empty.
    """
    chosen = list(references)
    if not chosen:
        raise DataError("the set has no molecules; give a set with at least one")
    chosen = [chosen[k] for k in evenly(len(chosen), max_molecules or len(chosen))]
    return [_read_case(reference, index, max_references, seed) for index, reference in enumerate(chosen)]


def evenly(total: int, most: int) -> list[int]:
    """At most `most` of `total` places, evenly spaced, the first and (from two on) the last among them."""
    return np.unique(np.linspace(0, total - 1, min(total, most)).round().astype(int)).tolist()


def reference_deviations(case: Case) -> tuple[float | None, float | None]:
    """How far the references themselves lie from their mean bond lengths, Å, and angles, degrees."""
    target = case.target
    return deviations(target.molecule, target.references, target.references) if target else (None, None)


def _read_case(reference: ReferenceMolecule, index: int, max_references: int, seed: int) -> Case:
    x = reference.coordinates[evenly(len(reference.coordinates), max_references)]
    if not len(x):
        return Case(reference.smiles, 0, None, "no_references")
    # Above 0 for RDKit, below 2**31 for both; molecules get unrelated seeds.
    own_seed = int(np.random.default_rng((seed, index)).integers(1, 2**31 - 1))
    try:
        mol = read_smiles(reference.smiles)
        if mol.GetNumHeavyAtoms() == 0:
            return Case(reference.smiles, len(x), None, "no_heavy_atoms")
        molecule = replace(build_molecules(mol, own_seed)[0], id=str(index))
    except MoleculeError as error:
        return Case(reference.smiles, len(x), None, error.reason)
    order = atom_order(molecule.mol, reference)
    if order is None:
        return Case(reference.smiles, len(x), None, "atom_order")
    return Case(reference.smiles, len(x), Target(molecule, x[:, order], 2 * len(x), own_seed))


def atom_order(mol: Chem.Mol, reference: ReferenceMolecule) -> list[int] | None:
    """Index in the set of each atom of `mol`; None if they are not one molecule.

    The orders differ where the SMILES writes a hydrogen as an atom of its own, which a request keeps in place.
    """
    with rdBase.BlockLogs():
        listed = Chem.MolFromSmiles(reference.smiles)
    if listed is None:
        return None
    listed = Chem.AddHs(listed)
    if [atom.GetAtomicNum() for atom in listed.GetAtoms()] != list(reference.numbers):
        return None
    if listed.GetNumAtoms() != mol.GetNumAtoms():
        return None
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    if numbers == list(reference.numbers) and np.array_equal(*map(Chem.GetAdjacencyMatrix, (mol, listed))):
        return list(range(len(numbers)))
    return list(listed.GetSubstructMatch(mol)) or None
