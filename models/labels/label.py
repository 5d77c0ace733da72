"""One molecule from SMILES to a low-energy ensemble."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolDescriptors

from models.data.molecule import build_molecules, read_smiles
from models.data.verify import check_geometry, geometry_limits, stereo_matches
from models.errors import MoleculeError
from models.evaluation.conformers import rmsd_matrix
from models.labels.potentials import Potential
from models.labels.relax import Descent, relax
from models.structure import Molecule


@dataclass(frozen=True)
class LabelSettings:
    """How an ensemble is made; saved in the header of the set.

    Attributes:
        starts: ETKDGv3 guesses of each molecule.
        relaxed: Most starts that are relaxed, the lowest after MMFF94s by the method's own energy.
        screen_window: Starts that are higher above the lowest than this are not relaxed, kcal/mol.
        energy_window: Conformers that are kept, kcal/mol above the lowest.
        same_rmsd: Heavy-atom RMSD below which two conformers of like energy are one, Å.
        same_energy: Like energy, kcal/mol.
        descent: When a conformer counts as relaxed.
        loosest_force: A conformer that stopped above this force is dropped, eV/Å.
        smallest: Fewest atoms of a molecule.
        largest: Most atoms of a molecule.
        rotors: Most rotatable bonds of a molecule.
        embed_timeout_s: Time limit of embedding, s.
    """

    starts: int = 16
    relaxed: int = 8
    screen_window: float = 10.0
    energy_window: float = 6.0
    same_rmsd: float = 0.125
    same_energy: float = 0.2
    descent: Descent = field(default_factory=Descent)
    loosest_force: float = 0.1
    smallest: int = 3
    largest: int = 72
    rotors: int = 12
    embed_timeout_s: int = 20


@dataclass(frozen=True)
class Labelled:
    """A molecule with its low-energy conformers and the guesses that they were found from.

    Attributes:
        smiles: Isomeric SMILES; atom order is that of `Chem.AddHs(Chem.MolFromSmiles(smiles))`.
        numbers: Atomic numbers.  [N] uint8
        x: Conformers in order of energy, Å.  [C, N, 3] float32
        energy: Above the lowest, kcal/mol.  [C] float32
        guesses: Raw ETKDGv3 guesses, Å.  [G, N, 3] float32
    """

    smiles: str
    numbers: np.ndarray
    x: np.ndarray
    energy: np.ndarray
    guesses: np.ndarray


def label_molecule(
    smiles: str, potential: Potential, settings: LabelSettings, excluded: frozenset[str], seed: int
) -> Labelled | str:
    """Make the ensemble of one molecule.

    Args:
        smiles: Any SMILES; stereo that it leaves open is chosen by the seed.
        potential: What relaxes and ranks.
        settings: How.
        excluded: Canonical SMILES without stereo of test molecules.
        seed: Fixes stereo and guesses.

    Returns:
        The ensemble, or the word for why there is none.
    """
    try:
        molecule = build_molecules(read_smiles(smiles), seed)[0]
        molecule = build_molecules(read_smiles(molecule.smiles), seed)[0]  # its atoms in the order of the SMILES
    except MoleculeError as error:
        return error.reason
    refused = _refused(molecule, potential, settings, excluded)
    if refused:
        return refused
    with rdBase.BlockLogs():
        guesses, starts = _starts(molecule.mol, settings, seed)
    if not len(guesses):
        return "no_guess"
    return _ensemble(molecule, guesses, starts, potential, settings)


def _refused(molecule: Molecule, potential: Potential, settings: LabelSettings, excluded: frozenset[str]) -> str | None:
    mol = molecule.mol
    if Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False) in excluded:
        return "test_molecule"
    if not settings.smallest <= molecule.num_atoms <= settings.largest:
        return "size"
    if rdMolDescriptors.CalcNumRotatableBonds(mol) > settings.rotors:
        return "too_flexible"
    if any(atom.GetAtomicNum() not in potential.elements for atom in mol.GetAtoms()):
        return "unsupported_element"
    return None


def _starts(mol: Chem.Mol, settings: LabelSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """ETKDGv3 guesses, and the same after MMFF94s (or UFF, where MMFF94s knows no parameters).  [G, N, 3] each"""
    copy = Chem.Mol(mol)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed % (2**31 - 1) + 1
    parameters.timeout = settings.embed_timeout_s
    rdDistGeom.EmbedMultipleConfs(copy, settings.starts, parameters)
    guesses = _positions(copy)
    if len(guesses) and rdForceFieldHelpers.MMFFHasAllMoleculeParams(copy):
        rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(copy, maxIters=500, mmffVariant="MMFF94s")
    elif len(guesses) and rdForceFieldHelpers.UFFHasAllMoleculeParams(copy):
        rdForceFieldHelpers.UFFOptimizeMoleculeConfs(copy, maxIters=500)
    return guesses, _positions(copy)


def _ensemble(
    molecule: Molecule, guesses: np.ndarray, starts: np.ndarray, potential: Potential, settings: LabelSettings
) -> Labelled | str:
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.mol.GetAtoms()])
    charge = Chem.GetFormalCharge(molecule.mol)
    rough = potential(torch.from_numpy(numbers), charge, torch.from_numpy(starts))[0].numpy()
    order = np.argsort(rough)
    order = order[rough[order] < rough[order[0]] + settings.screen_window]
    chosen = order[np.diff(rough[order], prepend=-np.inf) > 1e-3][: settings.relaxed]  # equal energies: one minimum
    minima = relax(potential, numbers, charge, molecule.features.bonded, starts[chosen], settings.descent)
    energy, x = minima.energy.numpy(), minima.x.numpy()
    sound = [
        fault is None and force < settings.loosest_force and stereo_matches(molecule, conformer)
        for fault, force, conformer in zip(
            check_geometry(geometry_limits(molecule), x), minima.force.numpy(), x, strict=True
        )
    ]
    if not any(sound):
        return "no_sound_minimum"
    energy, x = energy[sound], x[sound]
    # A changed molecule may lie lower; the window counts from the lowest sound one.
    order = np.argsort(energy)
    order = order[energy[order] <= energy[order[0]] + settings.energy_window]
    energy, x = energy[order], x[order]
    kept = _distinct(molecule.mol, x, energy, settings)
    return Labelled(
        molecule.smiles,
        numbers.astype(np.uint8),
        _centred(x[kept]),
        (energy[kept] - energy[0]).astype(np.float32),
        _centred(guesses),
    )


def _distinct(mol: Chem.Mol, x: np.ndarray, energy: np.ndarray, settings: LabelSettings) -> list[int]:
    """First of each group of equal conformers."""
    if mol.GetNumHeavyAtoms() < 2:
        return [0]
    distance = rmsd_matrix(mol, x, x)
    kept: list[int] = []
    for row in range(len(x)):
        same = [k for k in kept if distance[k, row] < settings.same_rmsd]
        if not any(energy[row] - energy[k] < settings.same_energy for k in same):
            kept.append(row)
    return kept


def _positions(mol: Chem.Mol) -> np.ndarray:
    return np.array([c.GetPositions() for c in mol.GetConformers()]).reshape(-1, mol.GetNumAtoms(), 3)


def _centred(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(1, keepdims=True)).astype(np.float32)
