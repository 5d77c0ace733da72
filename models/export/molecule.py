"""Ensembles to SDF, XYZ and plain JSON values.

Every record carries the id, the conformer index, its seed, the model and the canonical SMILES; after finishing also
the energy and its method.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rdkit import Chem

from models.export.text import one_line
from models.structure import Conformer, Ensemble, Problem


def record_properties(ensemble: Ensemble, conformer: Conformer, model: str) -> dict[str, str]:
    """What is said about one conformer in every format; the same keys for all conformers of an ensemble."""
    properties = {
        "id": one_line(ensemble.molecule.id),
        "conformer": str(conformer.index),
        "seed": str(conformer.seed),
        "model": model,
        "smiles": ensemble.molecule.smiles,
    }
    if ensemble.finishing and ensemble.finishing.relax:
        properties["relaxed"] = ensemble.finishing.relax if conformer.relaxed else "no"
    energies = {key: value for key, value in to_energy(ensemble, conformer).items() if value is not None}
    return properties | {key: f"{v:.4f}" if isinstance(v, float) else v for key, v in energies.items()}


def to_energy(ensemble: Ensemble, conformer: Conformer) -> dict[str, float | str | None]:
    """Energy of a conformer, also above the lowest of its ensemble, rounded to 1e-4 kcal/mol, and the method."""
    energy, done = conformer.energy_kcal_mol, ensemble.finishing
    if energy is None or done is None or done.lowest_kcal_mol is None:
        return {"energy_kcal_mol": None, "relative_energy_kcal_mol": None, "energy_method": None}
    return {
        "energy_kcal_mol": round(energy, 4),
        "relative_energy_kcal_mol": round(energy - done.lowest_kcal_mol, 4),
        "energy_method": done.energy_method,
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
        "num_pruned": ensemble.num_pruned,
        "notes": list(ensemble.molecule.notes),
        "problems": _counts(ensemble.problems),
        "finish": _finishing(ensemble),
        "conformers": [
            {
                "index": c.index,
                "seed": c.seed,
                "stereo_ok": True,  # others are not in an ensemble: stereo was perceived again and found right
                "relaxed": c.relaxed,
                **to_energy(ensemble, c),
            }
            for c in ensemble.conformers
        ],
    }


def _finishing(ensemble: Ensemble) -> dict[str, Any] | None:
    """What was done after sampling."""
    done = ensemble.finishing
    if done is None:
        return None
    return {
        "relax": done.relax,
        "energy_method": done.energy_method,
        "removed": _counts(done.removed),
        "problems": _counts(done.problems),
    }


def _counts(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [{"reason": p.reason, "detail": p.detail, "count": p.count} for p in problems]


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
