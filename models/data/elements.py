"""The one table of supported elements, bond orders and their codes."""

from rdkit import Chem

ELEMENTS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "As", "Se", "Br", "I")
MAX_ATOMS = 256
MAX_FORMAL_CHARGE = 3

_TABLE = Chem.GetPeriodicTable()
ELEMENT_CODE = {_TABLE.GetAtomicNumber(symbol): code for code, symbol in enumerate(ELEMENTS)}

BOND_CODE = {
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
    Chem.BondType.AROMATIC: 4,
}

HYBRIDISATION_CODE = {
    Chem.HybridizationType.S: 1,
    Chem.HybridizationType.SP: 2,
    Chem.HybridizationType.SP2: 3,
    Chem.HybridizationType.SP3: 4,
    Chem.HybridizationType.SP3D: 5,
    Chem.HybridizationType.SP3D2: 6,
}


def covalent_radius(atomic_number: int) -> float:
    """Covalent radius, Å, as RDKit tabulates it."""
    return float(_TABLE.GetRcovalent(atomic_number))
