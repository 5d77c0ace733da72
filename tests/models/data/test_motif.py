import numpy as np
import pytest

from models.data.motif import read_template
from models.errors import StructureError

LENGTH = 12


def pdb(x, chain="A", first=5, gap=()):
    """PDB lines of one chain, residues in `gap` left out."""
    return "".join(
        f"ATOM  {4 * k + n + 1:5d}  {name:<3} ALA {chain}{k + first:4d}    {p[0]:8.3f}{p[1]:8.3f}{p[2]:8.3f}\n"
        for k, points in enumerate(x)
        if k not in gap
        for n, (name, p) in enumerate(zip(("N", "CA", "C", "O"), points, strict=True))
    )


@pytest.fixture
def x(backbones):
    return backbones.chain(0)[:LENGTH]


def test_only_chain_is_taken_whole(x):
    template = read_template(pdb(x))
    assert (template.chain, template.first, template.last, template.fixed) == ("A", "5", "16", None)
    np.testing.assert_allclose(template.coordinates, x, atol=6e-4)


@pytest.mark.parametrize(
    ("ranges", "places"),
    [
        (["A6-8"], [1, 2, 3]),
        (["A:6-8", "A16"], [1, 2, 3, 11]),
        (["A5-16"], list(range(12))),
        (["A7", "A6-8"], [1, 2, 3]),
    ],
)
def test_residues_are_named_by_the_numbers_of_the_file(x, ranges, places):
    assert np.flatnonzero(read_template(pdb(x), None, ranges).fixed).tolist() == places


def test_numbers_below_zero_can_be_named(x):
    assert np.flatnonzero(read_template(pdb(x, first=-3), "A", ["A-2--1"]).fixed).tolist() == [1, 2]


def test_longest_stretch_of_the_named_chain_is_taken(x):
    text = pdb(x, "B", gap=(4,)) + pdb(x + 100, "A")
    template = read_template(text, "B")
    assert (template.chain, template.first, template.last, len(template)) == ("B", "10", "16", 7)


@pytest.mark.parametrize(
    ("chain", "ranges", "words"),
    [
        (None, [], "has the chains A, B; name one"),
        ("C", [], "no chain 'C'; it has A, B"),
        ("A", ["B6-8"], "write A10-20 or A10"),
        ("A", ["A6-"], "write A10-20 or A10"),
        ("A", ["A6-99"], "no residue 99 in its longest unbroken stretch, which is 5 to 16"),
        ("A", ["A8-6"], "write the lower end first"),
    ],
)
def test_what_is_not_there_is_refused_in_words(x, chain, ranges, words):
    with pytest.raises(StructureError, match=words):
        read_template(pdb(x) + pdb(x + 100, "B"), chain, ranges)


def test_large_structure_is_refused(x):
    with pytest.raises(StructureError, match="larger than 100 bytes"):
        read_template(pdb(x), limit_bytes=100)
