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


def test_embedding_has_time_for_each_guess():
    assert Embedding(MOLECULE, (3, 4, 5), Recipe()).patience == 3
    assert Embedding(MOLECULE, (3, 4, 5), Recipe(relax=True, tries=4)).patience == 12
