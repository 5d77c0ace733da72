"""The training data that the repository carries is what its page says."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from models.data.datasets import read_set
from models.data.molecule import read_smiles
from models.data.verify import check_geometry, geometry_limits
from models.labels.shards import read_header

FOLDER = Path(__file__).parents[3] / "weights" / "data"
SETS, PAGE = sorted(FOLDER.glob("*.npz")), FOLDER / "README.md"


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_page_names_the_files_that_are_there(path):
    content, page = path.read_bytes(), PAGE.read_text()
    assert sha256(content).hexdigest() in page
    assert f"{len(content):,} bytes" in page
    assert sum(other.stat().st_size for other in SETS) < 40e6
    with np.load(path) as data:
        molecules, conformers, guesses = len(data["smiles"]), int(data["nconf"].sum()), int(data["nguess"].sum())
        assert float(data["energy"].max()) <= 6
    for words in (f"{molecules:,} molecules", f"{conformers:,} conformers", f"{guesses:,} ETKDGv3 guesses"):
        assert words in page
    assert read_header(path)["method"].startswith("AIMNet2")


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_conformers_are_the_molecules_they_are_listed_under(path, molecule_of):
    for number, reference in enumerate(read_set(path)):
        if number % 60:
            continue
        molecule = molecule_of(reference.smiles)
        assert reference.numbers.tolist() == [atom.GetAtomicNum() for atom in read_smiles(reference.smiles).GetAtoms()]
        assert check_geometry(geometry_limits(molecule), reference.coordinates) == [None] * len(reference.coordinates)
