"""Is a sampled structure the molecule that was asked for?

Each conformer must be finite, have every bond and no other contact at bonding distance, and show the requested
stereochemistry when it is perceived again from its coordinates alone.
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from models.data.elements import covalent_radius
from models.data.features import chiral_quadruples
from models.data.molecule import canonical_smiles
from models.structure import Molecule

# Bond lengths over the sum of covalent radii.  Real structures of the training sets lie within .78 and 1.23.
BOND_RANGE = (0.75, 1.30)
# Shortest distance of atoms that are not bonded, over the sum of covalent radii.
CONTACT = 1.20

REASONS = {
    "not_finite": "a coordinate is not a finite number",
    "broken_bond": f"a bond is outside of {BOND_RANGE[0]}-{BOND_RANGE[1]} x the sum of covalent radii",
    "clash": f"two atoms that are not bonded are closer than {CONTACT} x the sum of covalent radii",
    "wrong_stereo": "the stereochemistry perceived from the coordinates is not the requested one",
}


@dataclass(frozen=True)
class GeometryLimits:
    """Allowed distances of one molecule, made once and used for all of its conformers.

    Attributes:
        bonds: Atom pairs that are bonded.  [E, 2]
        radii: Sum of the covalent radii of every pair, Å.  [N, N]
        apart: True for pairs that must keep a distance.  [N, N]
    """

    bonds: np.ndarray
    radii: np.ndarray
    apart: np.ndarray


def geometry_limits(molecule: Molecule) -> GeometryLimits:
    """Limits for `check_geometry`."""
    radius = np.array([covalent_radius(atom.GetAtomicNum()) for atom in molecule.mol.GetAtoms()])
    bonded = molecule.features.bonded
    # Atoms two bonds apart are held by their angle and may be close in small rings.
    apart = np.triu(~bonded & ~(bonded @ bonded), k=1)
    return GeometryLimits(np.argwhere(np.triu(bonded)), radius[:, None] + radius[None, :], apart)


def check_geometry(limits: GeometryLimits, coordinates: np.ndarray) -> list[str | None]:
    """First geometric fault of each structure, or None.

    Args:
        limits: From `geometry_limits`.
        coordinates: Å.  [S, N, 3]

    Returns:
        A key of `REASONS` or None, for each structure.
    """
    finite = np.isfinite(coordinates).all(axis=(1, 2))
    safe = np.where(finite[:, None, None], coordinates, 0.0)
    distance = np.linalg.norm(safe[:, :, None] - safe[:, None], axis=-1) / limits.radii
    lengths = distance[:, limits.bonds[:, 0], limits.bonds[:, 1]]
    broken = ((lengths < BOND_RANGE[0]) | (lengths > BOND_RANGE[1])).any(axis=1)
    clash = ((distance < CONTACT) & limits.apart).any(axis=(1, 2))
    faults: list[str | None] = []
    for row in range(len(coordinates)):
        if not finite[row]:
            faults.append("not_finite")
        elif broken[row]:
            faults.append("broken_bond")
        else:
            faults.append("clash" if clash[row] else None)
    return faults


def find_faults(molecule: Molecule, limits: GeometryLimits, coordinates: np.ndarray) -> list[str | None]:
    """First fault of each structure, stereo included, or None.  [S, N, 3]"""
    return [
        fault or (None if stereo_matches(molecule, x) else "wrong_stereo")
        for fault, x in zip(check_geometry(limits, coordinates), coordinates, strict=True)
    ]


def stereo_matches(molecule: Molecule, coordinates: np.ndarray) -> bool:
    """Whether stereo perceived from the coordinates alone gives the requested molecule.  [N, 3]"""
    return perceived_smiles(molecule.mol, coordinates) == molecule.smiles


def perceived_smiles(mol: Chem.Mol, coordinates: np.ndarray) -> str:
    """Canonical SMILES with the stereo that the coordinates show, at every place where `mol` has stereo.  [N, 3]

    Places that `mol` leaves without stereo, such as an amine that inverts freely, stay without.
    """
    seen = with_coordinates(mol, coordinates)
    Chem.AssignStereochemistryFrom3D(seen, replaceExistingTags=True)
    for atom, asked in zip(seen.GetAtoms(), mol.GetAtoms(), strict=True):
        if asked.GetChiralTag() == Chem.ChiralType.CHI_UNSPECIFIED:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    for points, centre in zip(*chiral_quadruples(mol), strict=True):
        atom, asked = seen.GetAtomWithIdx(centre), mol.GetAtomWithIdx(centre)
        if asked.GetDegree() == 3:  # RDKit sees no stereo of phosphines and aziridines in coordinates
            a, b, c, d = np.asarray(coordinates, dtype=np.float64)[points]
            atom.SetChiralTag(asked.GetChiralTag())
            if np.dot(a - d, np.cross(b - d, c - d)) < 0:
                atom.InvertChirality()
    for bond, asked in zip(seen.GetBonds(), mol.GetBonds(), strict=True):
        if asked.GetStereo() == Chem.BondStereo.STEREONONE:
            bond.SetStereo(Chem.BondStereo.STEREONONE)
    return canonical_smiles(seen)


def with_coordinates(mol: Chem.Mol, coordinates: np.ndarray) -> Chem.Mol:
    """Copy of the molecule with these coordinates as its only conformer.  [N, 3]"""
    copy = Chem.Mol(mol, True)
    conformer = Chem.Conformer(mol.GetNumAtoms())
    conformer.Set3D(True)
    conformer.SetPositions(np.ascontiguousarray(coordinates, dtype=np.float64))
    copy.AddConformer(conformer, assignId=True)
    return copy
