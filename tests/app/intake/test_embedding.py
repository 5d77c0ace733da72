from types import SimpleNamespace

import numpy as np

from app.intake.embedding import Embedding
from app.intake.job import Loss
from models.data.guess import Recipe, embed_guesses
from models.data.molecule import build_molecules, read_smiles

(MOLECULE,) = build_molecules(read_smiles("OCCN"), 0)


def test_embedding_makes_a_guess_of_each_seed():
    found = Embedding(MOLECULE, (3, 2**52), Recipe()).run()
    assert all(map(np.array_equal, found, embed_guesses(MOLECULE, [3, 2**52])))


def test_embedding_that_is_lost_has_no_guesses():
    assert Embedding(MOLECULE, (3,), Recipe()).lost(Loss("late", "5 s")) is None


def test_embedding_has_time_for_each_guess_by_the_size_of_its_molecule():
    large = SimpleNamespace(num_atoms=192)
    assert Embedding(MOLECULE, (3,), Recipe()).patience == 0.5
    assert Embedding(MOLECULE, (3, 4, 5), Recipe()).patience == 1.0
    assert Embedding(MOLECULE, (3, 4, 5), Recipe(relax=True, tries=4)).patience == 0.5 * 6.5
    assert Embedding(large, (3,), Recipe()).patience == 2.0
    assert Embedding(large, (3, 4), Recipe()).patience == 3.0
