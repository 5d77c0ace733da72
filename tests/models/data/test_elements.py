from rdkit import Chem

from models.data.elements import (
    BOND_CODE,
    ELEMENT_CODE,
    ELEMENTS,
    HYBRIDISATION_CODE,
    covalent_radius,
)
from models.data.features import PAIR_SIZES, TOKEN_SIZES


def test_element_codes_follow_the_list():
    table = Chem.GetPeriodicTable()
    assert [ELEMENT_CODE[table.GetAtomicNumber(symbol)] for symbol in ELEMENTS] == list(range(len(ELEMENTS)))


def test_every_code_has_a_place_in_the_features():
    assert len(ELEMENTS) == TOKEN_SIZES[0]
    assert max(HYBRIDISATION_CODE.values()) < TOKEN_SIZES[3]
    assert max(BOND_CODE.values()) < PAIR_SIZES[1]
    for table in (ELEMENT_CODE, BOND_CODE, HYBRIDISATION_CODE):
        assert len(set(table.values())) == len(table)


def test_radii_are_those_of_the_tables():
    # Cordero et al. 2008, Å
    for number, radius in ((1, 0.31), (6, 0.76), (7, 0.71), (8, 0.66), (16, 1.05), (53, 1.39)):
        assert abs(covalent_radius(number) - radius) < 0.03
