import numpy as np
import pytest

from models.data.molecule import build_molecules, read_smiles
from models.evaluation.baseline import embed
from models.evaluation.validity import (
    bond_angles,
    bond_lengths,
    check_structures,
    deviations,
    is_cis,
    stereo_double_bonds,
)
from models.structure import Molecule


def made(smiles: str, count: int = 2) -> tuple[Molecule, np.ndarray]:
    molecule = build_molecules(read_smiles(smiles), 0)[0]
    return molecule, embed(molecule.mol, count, 7, 20)[0]


def test_embedded_structures_are_right_in_everything() -> None:
    molecule, x = made("C[C@H](O)/C=C/[C@@H](C)F")
    validity = check_structures(molecule, x, x)
    assert validity.structures == validity.valid == 2 and not validity.faults and not validity.clashes
    assert (validity.centres, validity.centres_right) == (4, 4)
    assert (validity.double_bonds, validity.double_bonds_right) == (2, 2)


def test_mirror_image_has_wrong_centres_and_right_double_bonds() -> None:
    molecule, x = made("C[C@H](O)/C=C/[C@@H](C)F")
    validity = check_structures(molecule, x * [-1, 1, 1], x)
    assert validity.centres_right == 0 and validity.double_bonds_right == 2
    assert validity.valid == 0 and validity.faults == {"wrong_stereo": 2}
    assert validity.bond_deviation_ang is not None and validity.bond_deviation_ang < 0.1


def test_structure_of_the_diastereomer_is_half_right() -> None:
    molecule, x = made("C[C@H](O)CC[C@@H](C)F")
    _, y = made("C[C@H](O)CC[C@H](C)F")
    assert check_structures(molecule, x, x).centres_right == 4
    assert check_structures(molecule, y, x).centres_right == 2


def test_meso_compound_is_right_whichever_end_comes_first() -> None:
    molecule, x = made("C[C@H](F)[C@@H](C)F")  # its mirror image is itself
    validity = check_structures(molecule, x * [-1, 1, 1], x)
    assert validity.centres_right == 4 and validity.valid == 2


@pytest.mark.parametrize(("smiles", "cis"), [("C/C=C/F", False), ("C/C=C\\F", True), ("C/C(Cl)=C(Br)/F", True)])
def test_sides_of_a_double_bond_are_seen_in_3d(smiles: str, cis: bool) -> None:
    molecule, x = made(smiles)
    rows, asked = stereo_double_bonds(molecule.mol)
    assert len(rows) == 1
    assert is_cis(x[0], rows).tolist() == asked.tolist()
    if "Br" not in smiles:
        assert asked.tolist() == [cis]


def test_wrong_side_of_a_double_bond_is_counted() -> None:
    molecule, x = made("C/C=C/F")
    _, other = made("C/C=C\\F")
    validity = check_structures(molecule, np.concatenate((x, other)), x)
    assert (validity.double_bonds, validity.double_bonds_right) == (4, 2)
    assert validity.valid == 2


def test_clash_counts_even_where_a_bond_is_broken_too() -> None:
    molecule, x = made("CCCCO")
    squeezed = x * 0.3
    validity = check_structures(molecule, squeezed, x)
    assert validity.faults == {"broken_bond": 2} and validity.clashes == 2


def test_structure_that_is_not_finite_has_nothing_right_and_no_deviation() -> None:
    molecule, x = made("C[C@H](O)F", 1)
    validity = check_structures(molecule, np.full_like(x, np.nan), x)
    assert validity.faults == {"not_finite": 1}
    assert (validity.centres, validity.centres_right, validity.valid, validity.clashes) == (1, 0, 0, 0)
    assert validity.bond_deviation_ang is None and validity.angle_deviation_deg is None


def test_without_structures_there_is_nothing_to_count() -> None:
    molecule, x = made("CCO")
    assert check_structures(molecule, x[:0], x).structures == 0


def test_lengths_and_angles_of_a_right_triangle() -> None:
    x = np.array([[[3.0, 0, 0], [0, 0, 0], [0, 4, 0]]])
    assert bond_lengths(x, np.array([[0, 1], [1, 2], [0, 2]])).tolist() == [[3, 4, 5]]
    assert bond_angles(x, np.array([[0, 1, 2]])).item() == pytest.approx(90)


def test_stretched_water_deviates_by_the_stretch() -> None:
    molecule, _ = made("O", 1)
    right = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    wrong = np.array([[[0.0, 0, 0], [1.2, 0, 0], [-1, 0, 0]]])
    bond, angle = deviations(molecule, wrong, right)
    assert bond == pytest.approx(0.1) and angle == pytest.approx(90)
    assert deviations(molecule, right, right) == pytest.approx((0, 0))
