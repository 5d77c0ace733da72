"""The training data that the repository carries is what its page says."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from models.data.datasets import read_set
from models.data.molecule import read_smiles
from models.data.verify import check_geometry, geometry_limits
from models.labels.shards import read_header

FOLDER = Path(__file__).parents[3] / "weights" / "data"
SET, PAGE = FOLDER / "ensembles.npz", FOLDER / "README.md"


def test_page_names_the_file_that_is_there():
    content, page = SET.read_bytes(), PAGE.read_text()
    assert sha256(content).hexdigest() in page
    assert f"{len(content):,} bytes" in page
    assert len(content) < 40e6
    with np.load(SET) as data:
        molecules, conformers, guesses = len(data["smiles"]), int(data["nconf"].sum()), int(data["nguess"].sum())
        assert float(data["energy"].max()) <= 6
    for words in (f"{molecules:,} molecules", f"{conformers:,} conformers", f"{guesses:,} ETKDGv3 guesses"):
        assert words in page
    assert read_header(SET)["method"].startswith("AIMNet2")


def test_conformers_are_the_molecules_they_are_listed_under(molecule_of):
    for number, reference in enumerate(read_set(SET)):
        if number % 60:
            continue
        molecule = molecule_of(reference.smiles)
        assert reference.numbers.tolist() == [atom.GetAtomicNum() for atom in read_smiles(reference.smiles).GetAtoms()]
        assert check_geometry(geometry_limits(molecule), reference.coordinates) == [None] * len(reference.coordinates)
