"""In how many ways can the atoms of a molecule be matched onto themselves?

RMSDs between conformers are taken over the best of these matchings, as RDKit's GetBestRMS does.

Axes: A matchings, n atoms that count.
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

MAX_MATCHES = 1_000  # tried for each pair of conformers; the largest of the test sets needs 24
# RDKit treats these terminal atoms as equivalent, such as the oxygens of nitro and carboxylate groups.
_TERMINAL = Chem.MolFromSmarts("[O,N;D1;$([O,N;D1]-[*]=[O,N;D1]),$([O,N;D1]=[*]-[O,N;D1])]~[*]")
_FEWEST_HEAVY = 3  # of one or two heavy atoms the place of the hydrogens is all the shape there is


@dataclass(frozen=True)
class Matchings:
    """Matchings of some atoms of a molecule onto themselves.

    Attributes:
        atoms: Atoms that count.  [n]
        matchings: Places in `atoms`, the identity first.  [A, n]
        capped: Whether there are more.
    """

    atoms: np.ndarray
    matchings: np.ndarray
    capped: bool


def shape_matchings(mol: Chem.Mol, most: int = MAX_MATCHES) -> Matchings:
    """Matchings of the heavy atoms, or of all atoms where there are fewer than three heavy ones."""
    few = mol.GetNumHeavyAtoms() < _FEWEST_HEAVY
    atoms = [atom.GetIdx() for atom in mol.GetAtoms() if few or atom.GetAtomicNum() > 1]
    return _matchings(mol if few else Chem.RemoveAllHs(mol), np.array(atoms, dtype=np.int64), most)


def matches_capped(mol: Chem.Mol, most: int = MAX_MATCHES) -> bool:
    """Whether the heavy atoms can be matched onto themselves in more than so many ways."""
    heavy = Chem.RemoveAllHs(mol)
    return _matchings(heavy, np.arange(heavy.GetNumAtoms()), most).capped


def _matchings(mol: Chem.Mol, atoms: np.ndarray, most: int) -> Matchings:
    loose = Chem.RWMol(mol)
    for atom, centre in loose.GetSubstructMatches(_TERMINAL):
        loose.GetAtomWithIdx(atom).SetFormalCharge(0)
        loose.GetBondBetweenAtoms(atom, centre).SetBondType(Chem.BondType.SINGLE)
    matches = loose.GetSubstructMatches(loose, uniquify=False, maxMatches=most + 1)
    found = np.array(matches, dtype=np.int64).reshape(-1, len(atoms))
    identity = np.arange(len(atoms))
    others = found[(found != identity).any(1)]
    return Matchings(atoms, np.concatenate((identity[None], others[: most - 1])), len(found) > most)
