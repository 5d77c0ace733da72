"""Ensembles to PDB and mmCIF through biotite, as one residue UNL of hetero atoms, one model per conformer."""

from collections import Counter
from collections.abc import Sequence
from io import StringIO

import numpy as np
from biotite.structure import AtomArrayStack, BondList, BondType
from biotite.structure.io.pdbx import CIFBlock, CIFCategory, CIFFile, set_structure
from rdkit import Chem

from models.export.molecule import record_properties
from models.export.records import to_atom_records, to_remarks
from models.export.text import block_name, cif_text
from models.structure import Ensemble

_BOND = {
    Chem.BondType.SINGLE: BondType.SINGLE,
    Chem.BondType.DOUBLE: BondType.DOUBLE,
    Chem.BondType.TRIPLE: BondType.TRIPLE,
    Chem.BondType.AROMATIC: BondType.AROMATIC,
}


def to_pdb(ensembles: Sequence[Ensemble], model: str) -> str:
    """PDB; each MODEL is preceded by REMARK lines with its properties.

    Several molecules follow each other as further models.  CONECT records are written for a single molecule, where atom
    serials are the same in every model.
    """
    remarks: list[str] = []
    models: list[str] = []
    connections: list[str] = []
    for ensemble in ensembles:
        if not ensemble.conformers:
            continue
        records = to_atom_records(_stack(ensemble), "mmcif or sdf")
        for conformer, lines in zip(ensemble.conformers, records, strict=True):
            number = len(models) + 1
            remarks.extend(to_remarks(number, record_properties(ensemble, conformer, model)))
            models.append("\n".join((f"MODEL     {number:4d}", *lines, "ENDMDL")))
        connections = _connections(ensemble)
    body = models + (connections if sum(bool(e.conformers) for e in ensembles) == 1 else [])
    return "\n".join((*remarks, *body, "END")) + "\n"


def to_mmcif(ensembles: Sequence[Ensemble], model: str) -> str:
    """MmCIF; one data block per molecule, with the properties of each model in `_shapespace_conformer`."""
    file = CIFFile()
    for ensemble in ensembles:
        if not ensemble.conformers:
            continue
        block = CIFBlock()
        name = block_name(ensemble.molecule.id, file)
        file[name] = block
        set_structure(file, _stack(ensemble), data_block=name)
        rows = [record_properties(ensemble, conformer, model) for conformer in ensemble.conformers]
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        columns["id"] = [cif_text(value) for value in columns["id"]]
        numbers = [str(k + 1) for k in range(len(rows))]
        file[name]["shapespace_conformer"] = CIFCategory({"model_num": numbers, **columns})
    if not len(file):
        return ""
    buffer = StringIO()
    file.write(buffer)
    return buffer.getvalue()


def _stack(ensemble: Ensemble) -> AtomArrayStack:
    """All conformers as biotite models."""
    mol = ensemble.molecule.mol
    coordinates = np.stack([c.coordinates for c in ensemble.conformers])
    stack = AtomArrayStack(*coordinates.shape[:2])
    stack.coord = coordinates.astype(np.float32)
    stack.chain_id[:] = "A"
    stack.res_id[:] = 1
    stack.res_name[:] = "UNL"
    stack.hetero[:] = True
    stack.element = np.array([atom.GetSymbol().upper() for atom in mol.GetAtoms()])
    stack.atom_name = np.array(_atom_names(mol))
    stack.set_annotation("charge", np.array([atom.GetFormalCharge() for atom in mol.GetAtoms()]))
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(_BOND[b.GetBondType()])) for b in mol.GetBonds()]
    stack.bonds = BondList(mol.GetNumAtoms(), np.array(bonds, dtype=np.int64).reshape(-1, 3))
    return stack


def _atom_names(mol: Chem.Mol) -> list[str]:
    """Names of the input where it has them and they are distinct, or else element and number."""
    infos = [atom.GetPDBResidueInfo() for atom in mol.GetAtoms()]
    named = [info.GetName().strip() for info in infos if info is not None]
    if len(named) == mol.GetNumAtoms() and len(set(named)) == len(named) and all(named):
        return named
    counter: Counter[str] = Counter()
    names = []
    for atom in mol.GetAtoms():
        symbol = atom.GetSymbol().upper()
        counter[symbol] += 1
        names.append(symbol + _ordinal(counter[symbol], 4 - len(symbol)))
    return names


def _ordinal(number: int, width: int) -> str:
    """Decimal number where it fits, or else base 36 that starts with a letter, so that 1,035 fit into two columns."""
    if number < 10**width:
        return str(number)
    rest = number - 10**width + 10 * 36 ** (width - 1)
    return np.base_repr(rest, 36)


def _connections(ensemble: Ensemble) -> list[str]:
    """CONECT records: for each atom the serials of its neighbours, at most four a line."""
    lines = []
    for atom in ensemble.molecule.mol.GetAtoms():
        partners = sorted(n.GetIdx() + 1 for n in atom.GetNeighbors())
        for start in range(0, len(partners), 4):
            serials = "".join(f"{k:5d}" for k in partners[start : start + 4])
            lines.append(f"CONECT{atom.GetIdx() + 1:5d}{serials}")
    return lines
