"""What is right and wrong in each structure: contacts, stereo labels, bond lengths and angles.

Axes: S structures, R reference conformers, N atoms, E bonds, T angles, D stereo double bonds.  Coordinates are in Å.
"""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from rdkit import Chem

from models.data.features import chiral_quadruples
from models.data.verify import CONTACT, GeometryLimits, check_geometry, geometry_limits, perceived_smiles
from models.data.verify import with_coordinates as place
from models.structure import Molecule

_CIS = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
_TRANS = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)


@dataclass(frozen=True)
class Validity:
    """Counts over the structures of one molecule.

    Attributes:
        structures: Structures looked at.
        valid: Structures that pass every check of `models.data.verify`.
        faults: First fault of the others, by reason.
        clashes: Structures in which two atoms that are not bonded come too close.
        centres: Specified stereocentres, all structures together.
        centres_right: Those with the right handedness.
        double_bonds: Specified stereo double bonds, all structures together.
        double_bonds_right: Those with the right side.
        bond_deviation_ang: Mean absolute difference of bond lengths from the mean of the references, Å.
        angle_deviation_deg: The same of bond angles, degrees.
    """

    structures: int = 0
    valid: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    clashes: int = 0
    centres: int = 0
    centres_right: int = 0
    double_bonds: int = 0
    double_bonds_right: int = 0
    bond_deviation_ang: float | None = None
    angle_deviation_deg: float | None = None


def check_structures(molecule: Molecule, structures: np.ndarray, references: np.ndarray) -> Validity:
    """Look at every structure of one molecule.

    Where a structure is the requested stereoisomer as a whole, all of its labels are right: in symmetric molecules the
    handedness of one centre is defined only up to a renumbering.  In a structure that is not finite, none is.

    Args:
        molecule: What was asked for.
        structures: Å.  [S, N, 3]
        references: Conformers that define the right bond lengths and angles, Å.  [R, N, 3]

    Returns:
        Counts and mean deviations.
    """
    total = len(structures)
    if not total:
        return Validity()
    limits = geometry_limits(molecule)
    finite = np.isfinite(structures).all(axis=(1, 2))
    faults = check_geometry(limits, structures)
    centres = chiral_quadruples(molecule.mol)[1]
    double_bonds, cis = stereo_double_bonds(molecule.mol)
    centres_right = double_bonds_right = 0
    for row in np.flatnonzero(finite):
        whole = perceived_smiles(molecule.mol, structures[row]) == molecule.smiles
        if not whole and faults[row] is None:
            faults[row] = "wrong_stereo"
        if whole:
            centres_right += len(centres)
            double_bonds_right += len(double_bonds)
        else:
            centres_right += right_centres(molecule.mol, centres, structures[row])
            double_bonds_right += int((is_cis(structures[row], double_bonds) == cis).sum())
    words = [fault for fault in faults if fault]
    bond, angle = deviations(molecule, structures[finite], references)
    return Validity(
        structures=total,
        valid=total - len(words),
        faults={word: words.count(word) for word in sorted(set(words))},
        clashes=int(clashing(limits, structures[finite]).sum()),
        centres=total * len(centres),
        centres_right=centres_right,
        double_bonds=total * len(double_bonds),
        double_bonds_right=double_bonds_right,
        bond_deviation_ang=bond,
        angle_deviation_deg=angle,
    )


def right_centres(mol: Chem.Mol, centres: list[int], coordinates: np.ndarray) -> int:
    """How many of the centres show the asked handedness in these coordinates; flat ones do not.  [N, 3]"""
    seen = place(mol, coordinates)
    Chem.AssignAtomChiralTagsFromStructure(seen, replaceExistingTags=True)
    return sum(seen.GetAtomWithIdx(k).GetChiralTag() == mol.GetAtomWithIdx(k).GetChiralTag() for k in centres)


def stereo_double_bonds(mol: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Double bonds with specified stereo.

    Returns:
        Substituent, begin, end, substituent of each.  [D, 4]
        True where the two substituents are on one side.  [D]
    """
    rows, cis = [], []
    for bond in mol.GetBonds():
        named = list(bond.GetStereoAtoms())
        if len(named) == 2 and bond.GetStereo() in (*_CIS, *_TRANS):
            rows.append((named[0], bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), named[1]))
            cis.append(bond.GetStereo() in _CIS)
    return np.array(rows, dtype=np.int64).reshape(-1, 4), np.array(cis, dtype=bool)


def is_cis(coordinates: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether the outer atoms lie on one side of the middle bond, dihedral below 90 degrees.  [N, 3], [D, 4] -> [D]"""
    a, b, c, d = (coordinates[rows[:, k]].astype(np.float64) for k in range(4))
    return (np.cross(a - b, c - b) * np.cross(b - c, d - c)).sum(-1) > 0


def clashing(limits: GeometryLimits, structures: np.ndarray) -> np.ndarray:
    """True where two atoms that are not bonded are too close, whatever else is wrong.  [S, N, 3] -> [S]"""
    distance = np.linalg.norm(structures[:, :, None] - structures[:, None], axis=-1)
    return ((distance < CONTACT * limits.radii) & limits.apart).any(axis=(1, 2))


def deviations(molecule: Molecule, structures: np.ndarray, references: np.ndarray) -> tuple[float | None, float | None]:
    """Mean absolute differences from the mean bond lengths and angles of the references.

    Hydrogens count.  References themselves, given as `structures`, show how far real conformers spread.

    Args:
        molecule: The molecule.
        structures: Finite coordinates, Å.  [S, N, 3]
        references: Å.  [R, N, 3]

    Returns:
        Of bond lengths, Å; None without structures or bonds.
        Of bond angles, degrees; None without structures or angles.
    """
    bonded = molecule.features.bonded
    bonds = np.argwhere(np.triu(bonded))
    triples = [(a, k, b) for k in range(len(bonded)) for a, b in combinations(np.flatnonzero(bonded[k]).tolist(), 2)]
    angles = np.array(triples, dtype=np.int64).reshape(-1, 3)
    return (
        _deviation(bond_lengths(structures, bonds), bond_lengths(references, bonds)),
        _deviation(bond_angles(structures, angles), bond_angles(references, angles)),
    )


def bond_lengths(x: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Å.  [S, N, 3], [E, 2] -> [S, E]"""
    return np.linalg.norm(x[:, bonds[:, 0]].astype(np.float64) - x[:, bonds[:, 1]], axis=-1)


def bond_angles(x: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Angle at the middle atom, degrees.  [S, N, 3], [T, 3] -> [S, T]"""
    first, middle, last = (x[:, triples[:, k]].astype(np.float64) for k in range(3))
    u, v = first - middle, last - middle
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(-1)))


def _deviation(values: np.ndarray, right: np.ndarray) -> float | None:
    return float(np.abs(values - right.mean(axis=0)).mean()) if values.size and right.size else None
