import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from models.geometry.rigid import random_rotation
from models.labels.hessian import find_internals, model_hessian


def structure(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    numbers = torch.tensor([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    x = torch.from_numpy(mol.GetConformer().GetPositions())[None]
    return numbers, x, Chem.GetAdjacencyMatrix(mol)


def test_internals_of_propane_are_all_there():
    _, _, bonded = structure("CCC")
    internals = find_internals(bonded)
    assert len(internals.angles) == 3 * 6  # three carbons with four neighbours each
    assert len(internals.torsions) == 2 * 9
    for i, j, k, m in internals.torsions.tolist():
        assert bonded[i, j] and bonded[j, k] and bonded[k, m] and len({i, j, k, m}) == 4


def test_hessian_is_symmetric_positive_and_knows_rigid_motion():
    numbers, x, bonded = structure("OCC=O")
    hessian = model_hessian(x, numbers, find_internals(bonded), floor=0.5)[0]
    torch.testing.assert_close(hessian, hessian.T)
    values = torch.linalg.eigvalsh(hessian)
    torch.testing.assert_close(values[:6], torch.full((6,), 0.5, dtype=torch.float64), atol=1e-6, rtol=0)
    assert values[6] > 0.5 + 1e-3
    shift = torch.ones(x.shape[1], 3, dtype=torch.float64).flatten()
    torch.testing.assert_close(hessian @ shift, 0.5 * shift, atol=1e-6, rtol=0)


def test_hessian_turns_with_the_molecule():
    numbers, x, bonded = structure("CC(N)O")
    turn = random_rotation(torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    internals = find_internals(bonded)
    before, after = (model_hessian(p, numbers, internals, 1.0)[0] for p in (x, x @ turn.T))
    whole = torch.kron(torch.eye(x.shape[1], dtype=torch.float64), turn)
    torch.testing.assert_close(after, whole @ before @ whole.T, atol=1e-6, rtol=1e-6)


def test_stretching_is_stiffer_than_bending_and_bending_than_twisting():
    numbers, x, bonded = structure("CC")
    hessian = model_hessian(x, numbers, find_internals(bonded), floor=0.0)[0]
    axis = (x[0, 1] - x[0, 0]) / (x[0, 1] - x[0, 0]).norm()
    stretch, bend, twist = torch.zeros(3, 8, 3, dtype=torch.float64).unbind(0)
    hydrogens = [k for k in range(2, 8) if bonded[1, k]]  # of the second carbon
    stretch[1], stretch[hydrogens] = axis, axis
    arm = x[0, hydrogens[0]] - x[0, 1]
    bend[hydrogens[0]] = torch.linalg.cross(arm, torch.linalg.cross(axis, arm))
    twist[hydrogens] = torch.linalg.cross(axis.expand(3, 3), x[0, hydrogens] - x[0, 1])
    costs = [float((v.flatten() @ hessian @ v.flatten()) / v.square().sum()) for v in (stretch, bend, twist)]
    assert costs[0] > 1.5 * costs[1] > 3 * costs[2] > 0, costs


def test_molecule_on_a_line_has_a_finite_hessian():
    x = torch.tensor([[[0.0, 0, 0], [1.06, 0, 0], [2.26, 0, 0], [3.32, 0, 0]]], dtype=torch.float64)
    bonded = np.eye(4, k=1, dtype=bool) | np.eye(4, k=-1, dtype=bool)
    hessian = model_hessian(x, torch.tensor([1, 6, 6, 1]), find_internals(bonded), floor=1.0)
    assert hessian.isfinite().all()
    assert torch.linalg.eigvalsh(hessian).min() > 0.99
