import numpy as np
import pytest
import torch

from models.data.backbones import read_backbones
from models.data.quality import measure_backbones
from models.geometry.peptide import CA, POINTS, idealise
from models.geometry.rigid import random_rotation


@pytest.fixture(scope="module")
def native(files):
    chains = read_backbones(files / "backbones.npz")
    return torch.from_numpy(chains.chain(0).astype(np.float32))


def noisy(native, std, count=3):
    generator = torch.Generator().manual_seed(0)
    return native + std * torch.randn(count, *native.shape, generator=generator)


def rms(a, b):
    return (a - b).square().sum(-1).mean((-2, -1)).sqrt()


def test_natural_chains_hardly_move(native):
    assert rms(idealise(native[None]), native).item() < 0.1


def test_noise_of_a_third_of_an_angstrom_is_taken_out(native):
    before = noisy(native, 0.3)
    after = idealise(before)
    rough, ideal = measure_backbones(before.numpy()), measure_backbones(after.numpy())
    assert set(rough.faults) == {"chain_break"}
    assert ideal.faults == (None,) * 3
    assert (ideal.ca_step_share > 0.98).all()
    assert (ideal.bond_error_ang < 0.02).all()
    assert (rms(after, native) < 0.7 * rms(before, native)).all()  # nearer to nature, and not only to the ideal


def test_clashes_are_pushed_apart(native):
    x = native[None].clone()
    x[:, 40] += x[:, 10, CA] - x[:, 40, CA] + 0.5  # residue 40 on top of residue 10
    anchor = idealise(x)[0, :, CA]
    assert measure_backbones(x.numpy()).clashes[0] > 0
    assert (anchor[10] - anchor[40]).norm() > 3.0


def test_no_atom_is_left_on_another(native):
    x = native[None].clone()
    x[:, 40:45] += x[:, 10, 3] - x[:, 42, 0] + 0.3  # N of residue 42 on O of residue 10
    assert measure_backbones(x.numpy()).clashes[0] > 0
    assert measure_backbones(idealise(x).numpy()).clashes[0] == 0


def test_twisted_peptides_become_planar(native):
    x = native[None].clone()
    axis = x[0, 31, 1] - x[0, 30, 1]  # turn the plane between CA 30 and CA 31 by a right angle
    axis = axis / axis.norm()
    for residue, atom in ((30, 2), (30, 3)):
        v = x[0, residue, atom] - x[0, 30, 1]
        x[0, residue, atom] = x[0, 30, 1] + torch.linalg.cross(axis, v) + axis * (axis @ v)
    assert measure_backbones(x.numpy()).twisted[0] > 0
    assert measure_backbones(idealise(x).numpy()).twisted[0] == 0


def test_result_turns_with_the_chain(native):
    x = noisy(native, 0.3, 1).double()
    turn = random_rotation(torch.randn(1, 4, dtype=torch.float64))
    turned = (x.reshape(1, -1, 3) @ turn.mT).view(x.shape)
    # the step of each coordinate has its own size, so turned axes take another path to nearly the same end
    end = (idealise(x).reshape(1, -1, 3) @ turn.mT).view(x.shape)
    assert rms(idealise(turned), end).item() < 0.15


def test_batch_mates_do_not_matter(native):
    x = noisy(native, 0.4)
    assert torch.equal(idealise(x)[1:2], idealise(x[1:2]))


def test_held_residues_stay(native):
    x = noisy(native, 0.5)
    held = torch.zeros(x.shape[1], dtype=torch.bool)
    held[5:20] = True
    after = idealise(x, held)
    assert torch.equal(after[:, held], x[:, held])
    assert (after[:, ~held] != x[:, ~held]).any()


@pytest.mark.parametrize("length", [1, 2, 5])
def test_short_chains_stay_finite(length):
    x = torch.randn(2, length, POINTS, 3)
    assert idealise(x).isfinite().all()
    assert idealise(torch.zeros(1, length, POINTS, 3)).isfinite().all()


def test_a_structure_that_is_not_finite_harms_no_other(native):
    x = noisy(native, 0.3, 2)
    x[0, 3, 1, 0] = float("nan")
    assert idealise(x)[1].isfinite().all()
