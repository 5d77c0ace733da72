"""Ensembles to bytes and back without loss, for keeping them until somebody wants a file."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from rdkit import Chem

from models.structure import Conformer, Ensemble, Features, Finishing, Molecule, Problem

_FEATURES = tuple(f.name for f in fields(Features))


def to_packed(ensembles: Sequence[Ensemble]) -> bytes:
    """NPZ without pickled objects: a JSON head, and of each ensemble RDKit's binary molecule and the arrays."""
    arrays: dict[str, np.ndarray] = {}
    for k, ensemble in enumerate(ensembles):
        molecule = ensemble.molecule
        binary = molecule.mol.ToBinary(int(Chem.PropertyPickleOptions.AllProps))
        arrays[f"{k}.mol"] = np.frombuffer(binary, np.uint8)
        arrays |= {f"{k}.{name}": getattr(molecule.features, name) for name in _FEATURES}
        if ensemble.conformers:
            arrays[f"{k}.coordinates"] = np.stack([c.coordinates for c in ensemble.conformers])
    head = json.dumps([_head(ensemble) for ensemble in ensembles])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, head=np.frombuffer(head.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_packed(packed: bytes) -> list[Ensemble]:
    """The ensembles, equal to those that were packed."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        heads = json.loads(arrays["head"].tobytes())
        return [_ensemble(head, {n.split(".", 1)[1]: arrays[n] for n in arrays.files if n.startswith(f"{k}.")})
                for k, head in enumerate(heads)]  # fmt: skip


def _head(ensemble: Ensemble) -> dict[str, Any]:
    conformers = [
        {"index": c.index, "seed": c.seed, "relaxed": c.relaxed, "energy_kcal_mol": c.energy_kcal_mol}
        for c in ensemble.conformers
    ]
    molecule = ensemble.molecule
    return {
        "molecule": {"id": molecule.id, "smiles": molecule.smiles, "notes": molecule.notes},
        "requested": ensemble.requested,
        "conformers": conformers,
        "problems": [asdict(p) for p in ensemble.problems],
        "attempts": ensemble.attempts,
        "first_pass": ensemble.first_pass,
        "finishing": asdict(ensemble.finishing) if ensemble.finishing else None,
    }


def _ensemble(head: dict[str, Any], arrays: dict[str, np.ndarray]) -> Ensemble:
    named, done = head["molecule"], head["finishing"]
    molecule = Molecule(
        named["id"],
        Chem.Mol(arrays["mol"].tobytes()),  # type: ignore[call-overload]  # its stubs want text
        named["smiles"],
        Features(*(arrays[name] for name in _FEATURES)),
        tuple(named["notes"]),
    )
    conformers = tuple(
        Conformer(coordinates=x, **values)
        for values, x in zip(head["conformers"], arrays.get("coordinates", ()), strict=True)
    )
    if done is not None:
        done = Finishing(**{**done, "removed": _problems(done["removed"]), "problems": _problems(done["problems"])})
    return Ensemble(
        molecule, head["requested"], conformers, _problems(head["problems"]), head["attempts"], head["first_pass"], done
    )


def _problems(values: list[dict[str, Any]]) -> tuple[Problem, ...]:
    return tuple(Problem(**value) for value in values)
