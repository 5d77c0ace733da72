import sys

import pytest
import torch

from models.errors import DataError
from models.labels.potentials import KCAL_PER_EV, Aimnet2, Gfn2


class Pull(torch.nn.Module):
    """Stands in for the network: its energy is known."""

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        size = inputs["coord"].square().sum(dim=(1, 2))
        return {"energy": 0.5 * size + inputs["charge"] + inputs["numbers"].sum(1)}


def test_torchscript_potential_has_the_units_it_says(tmp_path):
    with pytest.warns(DeprecationWarning):
        torch.jit.script(Pull()).save(str(tmp_path / "pull.jpt"))
    potential = Aimnet2(tmp_path / "pull.jpt")
    x = torch.randn(3, 4, 3, dtype=torch.float64)
    energy, gradient = potential(torch.tensor([6, 1, 1, 1]), -1, x)
    assert energy.dtype == gradient.dtype == torch.float64
    torch.testing.assert_close(gradient, KCAL_PER_EV * x, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(energy, KCAL_PER_EV * (0.5 * x.square().sum((1, 2)) + 8), atol=1e-3, rtol=1e-5)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no AIMNet2 file at .*nothing\.jpt"):
        Aimnet2(tmp_path / "nothing.jpt")


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(DataError, match="pip install tblite"):
        Gfn2()


def test_gfn2_gradient_is_the_slope_of_its_energy():
    water = torch.tensor([[[0.0, 0, 0], [0.97, 0.02, 0], [-0.25, 0.92, 0]]], dtype=torch.float64)
    numbers, potential = torch.tensor([8, 1, 1]), Gfn2()
    _, gradient = potential(numbers, 0, water)
    step = torch.zeros_like(water)
    step[0, 1, 0] = 1e-3
    (up,), (down,) = (potential(numbers, 0, water + s)[0] for s in (step, -step))
    assert float((up - down) / 2e-3) == pytest.approx(float(gradient[0, 1, 0]), rel=1e-3)
    both, _ = potential(numbers, 0, torch.cat((water, water + step)))
    torch.testing.assert_close(both[0], potential(numbers, 0, water)[0][0], atol=1e-5, rtol=0)
