import gemmi
import numpy as np
import pytest

from models.data.motif import place_motif, read_template
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


def test_long_name_of_a_chain_is_refused_shortly(x):
    cif = gemmi.read_pdb_string(pdb(x))
    cif[0]["A"].name = "Z" * 1800
    with pytest.raises(StructureError, match=r"a name of 1800 characters, 'ZZZ.*at most 32") as caught:
        read_template(cif.make_mmcif_document().as_string())
    assert len(str(caught.value)) < 200


def test_large_structure_is_refused(x):
    with pytest.raises(StructureError, match="larger than 100 bytes"):
        read_template(pdb(x), limit_bytes=100)


def test_motif_is_put_at_places_of_its_own(x):
    text = pdb(x, "A") + pdb(x + 30, "B", gap=(6,))  # B is in two stretches
    template = place_motif(text, ["B12-14", "A6-8", "B:6"], [12, 3, 8])
    assert (template.chain, template.first, template.last, template.free) == ("A,B", "6", "14", True)
    assert (len(template), template.places) == (14, ["3-5", "8", "12-14"])
    coordinates, fixed = template.widened(20)
    assert coordinates.shape == (20, 4, 3) and np.flatnonzero(fixed).tolist() == [2, 3, 4, 7, 11, 12, 13]
    for place, shift, number in ((2, 0, 1), (3, 0, 2), (7, 30, 1), (11, 30, 7), (13, 30, 9)):
        np.testing.assert_allclose(coordinates[place], x[number] + shift, atol=6e-4)
    assert template.to_values()["residues"] == template.to_values()["fixed"] == 7


def test_stretch_keeps_its_length(x):
    template = read_template(pdb(x), None, ["A6-8"])
    coordinates, fixed = template.widened(LENGTH)
    np.testing.assert_array_equal(coordinates, template.coordinates)
    np.testing.assert_array_equal(fixed, template.fixed)


def test_names_of_chains_that_begin_alike_need_a_colon(x):
    text = pdb(x, "A") + pdb(x + 30, "1")
    cif = gemmi.read_pdb_string(text)
    cif[0]["1"].name = "A1"
    both = cif.make_mmcif_document().as_string()
    assert place_motif(both, ["A:10-12"], [1]).chain == "A"
    assert place_motif(both, ["A1:10-12"], [1]).chain == "A1"
    with pytest.raises(StructureError, match="could be of chain A or A1; write a colon"):
        place_motif(both, ["A110"], [1])


@pytest.mark.parametrize(
    ("ranges", "at", "words"),
    [
        (["A6-8"], [1, 9], "2 places for 1 ranges"),
        (["A6-8"], [0], "cannot be put at 0: places count from 1"),
        (
            ["A6-8", "A10-12"],
            [4, 6],
            "'A10-12' cannot be put at 6: one residue must stay free before it, so 8 or later",
        ),
        (["A6-8", "A10-12"], [4, 7], "one residue must stay free before it, so 8 or later"),
        (["C6-8"], [4], r"no range of residues of a chain of the structure \(A, B\); write A10-20"),
        (["A6-99"], [4], "chain A has no unbroken stretch with these residues"),
        (["B9-12"], [4], "chain B has no unbroken stretch with these residues"),
        (["A8-6"], [4], "write the lower end first"),
    ],
)
def test_places_that_cannot_be_are_refused(x, ranges, at, words):
    with pytest.raises(StructureError, match=words):
        place_motif(pdb(x, "A") + pdb(x + 30, "B", gap=(6,)), ranges, at)
