import time

import numpy as np

from models.evaluation.conformers import Score
from models.evaluation.validity import Validity
from models.experiments.ensembles import columns, measure_ensembles
from models.options import SampleOptions


def test_columns_hold_one_value_for_each_molecule():
    good = Score(2, 2, (0.1,), (0.1, 0.4), False, Validity(structures=2, valid=1))
    empty = Score(2, 0, (np.inf,), (), False, Validity())
    found = columns([good, empty])
    assert found["COV-P < 0.25 Å, %"] == [50, 0]
    assert found["COV-R < 0.5 Å, %"] == [100, 0]
    assert found["AMR-P, Å"][0] == 0.25 and np.isnan(found["AMR-P, Å"][1])
    assert found["AMR-R, Å"][0] == 0.1 and np.isnan(found["AMR-R, Å"][1])
    assert found["valid, %"] == [50, 0]


def test_model_that_knows_the_molecule_covers_it(cases, knowing):
    case = cases[3]
    found = measure_ensembles(knowing(case.target), [case], SampleOptions(steps=6), time.perf_counter)
    assert found["AMR-R, Å"][0] <= found["AMR-P, Å"][0] < 1e-3
    assert found["COV-R < 0.25 Å, %"] == found["valid, %"] == [100]


def test_faulty_structures_are_kept(cases, guessing):
    found = measure_ensembles(guessing(lambda x, t: 3 * x), cases[:2], SampleOptions(steps=2), time.perf_counter)
    assert found["valid, %"] == [0, 0]
    assert np.isfinite(found["AMR-P, Å"]).all()
