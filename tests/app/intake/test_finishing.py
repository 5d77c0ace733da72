import numpy as np
import pytest

from app.intake.finishing import Measuring, Selecting
from app.intake.job import Loss
from models.data.molecule import build_molecules, read_smiles
from models.finishing.finish import REASONS, measure, select
from models.finishing.options import FinishOptions
from models.structure import Conformer, Ensemble

OPTIONS = FinishOptions(energies="mmff94s", prune_rmsd=0.125)
(MOLECULE,) = build_molecules(read_smiles("O"), 0)
X = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], dtype=np.float32)
CONFORMERS = tuple(Conformer(k, k, X + k) for k in range(3))
ENSEMBLE = Ensemble(MOLECULE, 3, CONFORMERS, (), 3, 3)
MEASURED = tuple(measure(MOLECULE, CONFORMERS, OPTIONS))


def test_jobs_do_what_the_library_does():
    found = Measuring(MOLECULE, CONFORMERS, OPTIONS).run()
    energies = [m.conformer.energy_kcal_mol for m in MEASURED]
    assert [m.conformer.energy_kcal_mol for m in found] == energies
    assert all(isinstance(energy, float) for energy in energies)
    done, expected = Selecting(ENSEMBLE, MEASURED, OPTIONS).run(), select(ENSEMBLE, MEASURED, OPTIONS)
    assert done.finishing == expected.finishing
    assert [c.index for c in done.conformers] == [c.index for c in expected.conformers]
    assert len(done.conformers) == 1


@pytest.mark.parametrize("job", [Measuring(MOLECULE, CONFORMERS, OPTIONS), Selecting(ENSEMBLE, MEASURED, OPTIONS)])
def test_every_loss_has_a_reason_with_a_sentence(job):
    reasons = {word: job.lost(Loss(word)) for word in ("late", "died", "memory", "error", "unavailable")}
    assert reasons["late"] == "finish_timeout"
    assert set(reasons.values()) == {"finish_timeout", "finish_failed"} <= set(REASONS)


def test_jobs_have_time_for_each_conformer():
    assert (
        Measuring(MOLECULE, CONFORMERS, OPTIONS).patience == 3 * Measuring(MOLECULE, CONFORMERS[:1], OPTIONS).patience
    )
    assert Selecting(ENSEMBLE, MEASURED * 100, OPTIONS).patience > Selecting(ENSEMBLE, MEASURED, OPTIONS).patience
