from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import SamplerError
from models.experiments.curvature import FORMS, MARKS, draw, expected_size, measure_form
from models.samplers.prior import build_prior
from models.samplers.process import interpolate


def test_every_form_has_a_partner_without_the_drift():
    kept, dropped = list(FORMS)[0:4:2], list(FORMS)[1:4:2]
    assert [replace(FORMS[name], curvature=False) for name in kept] == [FORMS[name] for name in dropped]
    assert FORMS["ODE"].kind == "ode"


def test_size_along_the_path_is_that_of_the_interpolant(targets):
    target = targets[4]
    x = torch.from_numpy(target.references[0] - target.references[0].mean(0)).float().expand(20_000, -1, -1)
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    x_noise = build_prior("gaussian", 0.8)(torch.randn_like(x), mask, mask)
    for t in MARKS:
        size = interpolate(x_noise, x, torch.full((len(x),), t)).square().sum((1, 2)).mean().item()
        assert size == pytest.approx(expected_size(target, t, 0.8), rel=0.01)


def test_ode_of_a_model_that_knows_the_molecule_has_its_size(targets, knowing):
    target = replace(targets[4], requested=3)
    found = measure_form(knowing(target), [target], FORMS["ODE"], 8)
    assert found["Rg / data"][0] == pytest.approx(1, abs=1e-3)
    assert found["SD of Rg / data"][0] < 1e-3
    assert found["AMR-P, Å"][0] < 1e-3


def test_drift_keeps_molecules_from_shrinking_on_the_way(targets, knowing):
    target = replace(min(targets, key=lambda t: t.molecule.num_atoms), requested=100)
    sizes = [
        measure_form(knowing(target), [target], FORMS[f"SDE, noise 1, {word}"], 8)
        for word in ("with curvature", "without")
    ]
    column = "mean square radius at t = 0.25 / exact"
    assert sizes[0][column][0] > sizes[1][column][0] + 0.02


def test_molecules_and_marks_keep_their_places(targets, guessing):
    part = [replace(target, requested=2) for target in targets[:3]]
    seen = []
    drawn = draw(guessing(lambda x, t: x), part, FORMS["ODE"], 4, seen.append)
    assert sum(seen) == 6
    for row, target in enumerate(part):
        assert drawn.x[row].shape == (2, target.molecule.num_atoms, 3)
        for sizes, x in zip(drawn.sizes[row], drawn.x[row], strict=True):  # nothing moves
            np.testing.assert_allclose(sizes, np.square(x).sum(), rtol=1e-5)


def test_coupled_model_is_refused(targets, model_of):
    with pytest.raises(SamplerError, match="uncoupled"):
        measure_form(model_of(None, "gaussian", "kabsch"), targets[:1], FORMS["SDE, noise 1, without"], 4)
