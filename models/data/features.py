"""Molecule to atom and pair features.

No feature depends on the order of the atoms: renumbering a molecule permutes its features.  Handedness enters as
oriented quadruples of neighbours, whose signed volume must be positive in the right enantiomer; the mirror image has
the odd permutation of the same quadruple.  Double-bond stereo enters as cis and trans marks on the substituent pairs.
"""

import numpy as np
from rdkit import Chem

from models.data.elements import BOND_CODE, ELEMENT_CODE, HYBRIDISATION_CODE, MAX_FORMAL_CHARGE
from models.structure import Features

# Columns of `Features.tokens`: element, charge, degree, hybridisation, ring size, aromatic, hydrogens, stereocentre.
TOKEN_SIZES = (14, 2 * MAX_FORMAL_CHARGE + 1, 7, 7, 8, 2, 5, 2)

# Digits of `Features.pairs`, first varies slowest: hops, bond, same ring, cis (1) or trans (2).
PAIR_SIZES = (10, 5, 2, 3)
_FAR, _UNREACHABLE = 8, 9

_CIS = {Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS}
_TRANS = {Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS}


def build_features(mol: Chem.Mol) -> Features:
    """Features of a sanitised molecule with explicit hydrogens and assigned stereo.

    Args:
        mol: Supported elements only; see `models.data.molecule`.

    Returns:
        Features in the atom order of `mol`.
    """
    quadruples, centres = chiral_quadruples(mol)
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings()]
    return Features(
        tokens=_token_features(mol, centres),
        pairs=_pair_features(mol, rings),
        bonded=Chem.GetAdjacencyMatrix(mol).astype(bool),
        quadruples=quadruples,
    )


def chiral_quadruples(mol: Chem.Mol) -> tuple[np.ndarray, list[int]]:
    """Orient the neighbours of each stereocentre so that their signed volume is positive.

    RDKit's tag says whether the neighbours two to four turn counter-clockwise seen from the first, in bond order.  With
    three neighbours (sulfoxides, phosphines) the centre itself takes the fourth place.

    Returns:
        Quadruples.  [Q, 4] int16
        Index of each stereocentre.  [Q]
    """
    quadruples, centres = [], []
    for atom in mol.GetAtoms():
        tag = atom.GetChiralTag()
        if tag not in (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW):
            continue
        points = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
        if len(points) == 3:
            points.append(atom.GetIdx())
        if len(points) != 4:
            continue
        if tag == Chem.ChiralType.CHI_TETRAHEDRAL_CW:
            points[0], points[1] = points[1], points[0]
        quadruples.append(points)
        centres.append(atom.GetIdx())
    return np.array(quadruples, dtype=np.int16).reshape(-1, 4), centres


def cis_trans_pairs(mol: Chem.Mol) -> list[tuple[int, int, bool]]:
    """Substituent pairs across each stereo double bond, as (atom, atom, is_cis)."""
    marks = []
    for bond in mol.GetBonds():
        stereo = bond.GetStereo()
        if stereo not in _CIS and stereo not in _TRANS:
            continue
        named = list(bond.GetStereoAtoms())
        if len(named) != 2:
            continue
        begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
        for first in (n.GetIdx() for n in begin.GetNeighbors() if n.GetIdx() != end.GetIdx()):
            for second in (n.GetIdx() for n in end.GetNeighbors() if n.GetIdx() != begin.GetIdx()):
                swaps = (first != named[0]) + (second != named[1])
                marks.append((first, second, (stereo in _CIS) == (swaps % 2 == 0)))
    return marks


def _token_features(mol: Chem.Mol, centres: list[int]) -> np.ndarray:
    """[N, F] uint8"""
    info = mol.GetRingInfo()
    rows = [
        (
            ELEMENT_CODE[atom.GetAtomicNum()],
            min(max(atom.GetFormalCharge(), -MAX_FORMAL_CHARGE), MAX_FORMAL_CHARGE) + MAX_FORMAL_CHARGE,
            min(atom.GetDegree(), 6),
            HYBRIDISATION_CODE.get(atom.GetHybridization(), 0),
            _ring_code(info.MinAtomRingSize(atom.GetIdx())),
            atom.GetIsAromatic(),
            min(sum(n.GetAtomicNum() == 1 for n in atom.GetNeighbors()), 4),
            0,
        )
        for atom in mol.GetAtoms()
    ]
    tokens = np.array(rows, dtype=np.uint8)
    tokens[centres, -1] = 1
    return tokens


def _ring_code(size: int) -> int:
    """0 outside of rings, then 3, 4, 5, 6, 7 and larger rings from 1 on."""
    return 0 if size == 0 else min(size, 8) - 2


def _pair_features(mol: Chem.Mol, rings: list[set[int]]) -> np.ndarray:
    """[N, N] int16"""
    count = mol.GetNumAtoms()
    hops = Chem.GetDistanceMatrix(mol)
    hop = np.where(hops > count, _UNREACHABLE, np.minimum(hops, _FAR)).astype(np.int16)
    bond, ring, stereo = (np.zeros((count, count), dtype=np.int16) for _ in range(3))
    for edge in mol.GetBonds():
        i, j = edge.GetBeginAtomIdx(), edge.GetEndAtomIdx()
        bond[i, j] = bond[j, i] = BOND_CODE.get(edge.GetBondType(), 1)
    for members in rings:
        index = list(members)
        ring[np.ix_(index, index)] = 1
    for i, j, is_cis in cis_trans_pairs(mol):
        stereo[i, j] = stereo[j, i] = 1 if is_cis else 2
    code = hop
    for size, digit in zip(PAIR_SIZES[1:], (bond, ring, stereo), strict=True):
        code = code * size + digit
    return code
