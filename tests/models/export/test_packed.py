from dataclasses import replace

import numpy as np
from rdkit import Chem

from models.data.molecule import build_molecules, read_smiles
from models.export.formats import FORMATS
from models.export.molecule import to_summary, to_values
from models.export.packed import from_packed, to_packed
from models.structure import Conformer, Ensemble, Features, Finishing, Problem


def made(smiles, count, **fields):
    molecule = build_molecules(read_smiles(smiles, "name, with\ttab"), 3)[0]
    shapes = np.random.default_rng(0).normal(size=(count, molecule.num_atoms, 3)).astype(np.float32)
    conformers = tuple(Conformer(2 * k, 5 + k, x, k % 2 == 0, -1.25 * k or None) for k, x in enumerate(shapes))
    return Ensemble(molecule, count + 1, conformers, (Problem("clash", "too close", 1),), 9, 2, **fields)


ENSEMBLES = [
    made("[13CH3:7][C@H](N)C(=O)[O-]", 3),
    made("C/C=C/[N+](C)(C)C", 0),
    made("CC(F)O", 2, finishing=Finishing("MMFF94s", "MMFF94s", -3.5, (Problem("duplicate", "same", 1),), ())),
]


def test_packed_ensembles_come_back_equal():
    again = from_packed(to_packed(ENSEMBLES))
    for new, old in zip(again, ENSEMBLES, strict=True):
        assert len(new.conformers) == len(old.conformers)
        for a, b in zip(new.conformers, old.conformers, strict=True):
            assert a.coordinates.dtype == np.float32
            assert np.array_equal(a.coordinates, b.coordinates)
            assert replace(a, coordinates=None) == replace(b, coordinates=None)
        for name in Features.__dataclass_fields__:
            a, b = getattr(new.molecule.features, name), getattr(old.molecule.features, name)
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
        assert Chem.MolToCXSmiles(new.molecule.mol) == Chem.MolToCXSmiles(old.molecule.mol)
        assert replace(new, molecule=None, conformers=()) == replace(old, molecule=None, conformers=())
        assert (new.molecule.id, new.molecule.smiles, new.molecule.notes) == (
            old.molecule.id, old.molecule.smiles, old.molecule.notes
        )  # fmt: skip


def test_files_of_packed_ensembles_are_the_same():
    again = from_packed(to_packed(ENSEMBLES))
    for file_format in FORMATS.values():
        assert file_format.write(again, "model") == file_format.write(ENSEMBLES, "model")
    assert [to_summary(e) | to_values(e) for e in again] == [to_summary(e) | to_values(e) for e in ENSEMBLES]
