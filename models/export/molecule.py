"""Ensembles to SDF, XYZ and plain JSON values.

Every record carries the id, the conformer index, its seed, the model and the canonical SMILES.
"""

import re
from typing import Any

import numpy as np
from rdkit import Chem

from models.structure import Conformer, Ensemble


def record_properties(ensemble: Ensemble, conformer: Conformer, model: str) -> dict[str, str]:
    """What is said about one conformer in every format."""
    return {
        "id": one_line(ensemble.molecule.id),
        "conformer": str(conformer.index),
        "seed": str(conformer.seed),
        "model": model,
        "smiles": ensemble.molecule.smiles,
    }


def to_sdf(ensemble: Ensemble, model: str) -> str:
    """SDF, one V2000 record per conformer, in the atom order of the input."""
    mol = Chem.Mol(ensemble.molecule.mol, True)
    mol.SetProp("_Name", one_line(ensemble.molecule.id))
    slot = Chem.Conformer(mol.GetNumAtoms())
    slot.Set3D(True)
    mol.AddConformer(slot)
    Chem.Kekulize(mol, clearAromaticFlags=True)  # once, not for every record: it is slow in large ring systems
    records = []
    for conformer in ensemble.conformers:
        mol.GetConformer().SetPositions(conformer.coordinates.astype(np.float64))
        fields = "".join(
            f">  <{key}>\n{value}\n\n" for key, value in record_properties(ensemble, conformer, model).items()
        )
        records.append(f"{Chem.MolToMolBlock(mol, kekulize=False)}{fields}$$$$\n")
    return "".join(records)


def to_xyz(ensemble: Ensemble, model: str) -> str:
    """XYZ, one frame per conformer; the comment line holds `key=value` pairs."""
    symbols = [atom.GetSymbol() for atom in ensemble.molecule.mol.GetAtoms()]
    frames = []
    for conformer in ensemble.conformers:
        properties = record_properties(ensemble, conformer, model)
        comment = " ".join(f"{key}={value.replace(' ', '_')}" for key, value in properties.items())
        lines = [
            f"{symbol:<2} {x:13.6f} {y:13.6f} {z:13.6f}"
            for symbol, (x, y, z) in zip(symbols, conformer.coordinates.tolist(), strict=True)
        ]
        frames.append("\n".join((str(len(symbols)), comment, *lines)) + "\n")
    return "".join(frames)


def to_summary(ensemble: Ensemble) -> dict[str, Any]:
    """What became of a molecule, without coordinates, as plain JSON values."""
    return {
        "id": ensemble.molecule.id,
        "status": ensemble.status,
        "smiles": ensemble.molecule.smiles,
        "num_requested": ensemble.requested,
        "num_returned": len(ensemble.conformers),
        "notes": list(ensemble.molecule.notes),
        "problems": [{"reason": p.reason, "detail": p.detail, "count": p.count} for p in ensemble.problems],
        # only structures whose stereo was perceived again and found right are in an ensemble
        "conformers": [{"index": c.index, "seed": c.seed, "stereo_ok": True} for c in ensemble.conformers],
    }


def to_values(ensemble: Ensemble) -> dict[str, Any]:
    """Plain JSON values: atoms, bonds and coordinates in Å, rounded to 1e-4."""
    mol = ensemble.molecule.mol
    return {
        "atoms": [
            {
                "element": a.GetSymbol(),
                "charge": a.GetFormalCharge(),
                "isotope": a.GetIsotope(),
                "map": a.GetAtomMapNum(),
            }
            for a in mol.GetAtoms()
        ],
        "bonds": [
            {"begin": b.GetBeginAtomIdx(), "end": b.GetEndAtomIdx(), "order": b.GetBondTypeAsDouble()}
            for b in mol.GetBonds()
        ],
        "coordinates": [np.round(c.coordinates.astype(np.float64), 4).tolist() for c in ensemble.conformers],
    }


def one_line(text: str) -> str:
    """Text that cannot break out of its line or start a new record in a file."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff$]+", " ", text).strip()[:80]
