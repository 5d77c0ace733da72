import gzip
import subprocess
import sys

import gemmi
import numpy as np
import pytest

from models.backbone import Backbone, BackboneEnsemble
from models.data.report import report_backbones
from models.data.secondary import annotate_secondary
from models.data.structures import read_chains
from models.errors import StructureError
from models.export.backbones import to_bcif, to_mmcif, to_pdb


def text_of(*parts):
    return "\n".join(line for lines in parts for line in lines) + "\nEND\n"


@pytest.fixture
def written(native):
    """The native chain as a file of each kind."""
    sample = Backbone(0, native, report_backbones(native[None])[0], 1, None)
    other = Backbone(1, native + np.float32(5), sample.quality, 1, None)
    ensembles = [BackboneEnsemble(0, "x", len(native), (sample, other), None, "")]
    return {"pdb": to_pdb(ensembles, "m"), "mmcif": to_mmcif(ensembles, "m"), "bcif": to_bcif(ensembles, "m")}


@pytest.mark.parametrize("kind", ["pdb", "mmcif", "bcif"])
def test_first_model_of_any_file_is_read(written, native, tmp_path, kind):
    content = written[kind]
    binary = content if isinstance(content, bytes) else content.encode()
    plain, packed = tmp_path / "x", tmp_path / "x.gz"
    plain.write_bytes(binary)
    packed.write_bytes(gzip.compress(binary))
    for source in (content, binary, gzip.compress(binary), plain, packed):
        (chain,) = read_chains(source)
        np.testing.assert_allclose(chain.coordinates, native, atol=6e-4)
        assert (chain.id, chain.part, len(chain)) == ("A", 0, len(native))
        assert chain.numbers == tuple(str(k + 1) for k in range(len(native)))
        assert chain.sequence == "A" * len(native)
        assert (chain.secondary == annotate_secondary(native[:, 1])).mean() > 0.97  # coordinates are rounded


def test_files_of_another_writer_are_read(written, native):
    structure = gemmi.read_pdb_string(written["pdb"])
    structure.setup_entities()
    for text in (structure.make_pdb_string(), structure.make_mmcif_document().as_string()):
        (chain,) = read_chains(text)
        np.testing.assert_allclose(chain.coordinates, native, atol=6e-4)
    assert read_chains(structure.make_mmcif_document().as_string().replace("\n", "\r\n"))[0].sequence == chain.sequence


def test_broken_chains_are_cut(pdb_lines, native):
    apart = native.copy()
    apart[20:] += 3.0
    parts = read_chains(text_of(pdb_lines(apart)))
    assert [(c.id, c.part, len(c)) for c in parts] == [("A", 0, 20), ("A", 1, len(native) - 20)]
    np.testing.assert_allclose(np.concatenate([c.coordinates for c in parts]), apart, atol=6e-4)
    assert parts[1].numbers[0] == "21"


def test_residues_without_a_whole_backbone_are_left_out(pdb_lines, native):
    lines = pdb_lines(native)
    del lines[4 * 10 + 3]  # the oxygen of residue 11
    far = native.copy()
    far[30, 3] += 4.0
    for text, gap in ((text_of(lines), 10), (text_of(pdb_lines(far)), 30)):
        first, second = read_chains(text)
        assert (len(first), len(second)) == (gap, len(native) - gap - 1)
        assert (first.numbers[-1], second.numbers[0]) == (str(gap), str(gap + 2))


def test_chains_come_apart_by_name_and_keep_their_numbers(pdb_lines, native):
    numbers = [(-1, ""), (0, ""), (52, ""), (52, "A"), (52, "B"), (60, "")]
    text = text_of(pdb_lines(native[:6], "B", numbers=numbers), ["TER"], pdb_lines(native[10:14], "A"))
    second, first = read_chains(text)
    assert (second.id, second.numbers) == ("B", ("-1", "0", "52", "52A", "52B", "60"))
    assert (first.id, first.numbers) == ("A", ("1", "2", "3", "4"))


def test_names_of_the_author_are_taken_from_mmcif(written):
    structure = gemmi.read_pdb_string(written["pdb"])
    structure.setup_entities()
    for residue in structure[0]["A"]:
        residue.seqid = gemmi.SeqId(residue.seqid.num + 100, "C")
    structure[0]["A"].name = "XY"
    (chain,) = read_chains(structure.make_mmcif_document().as_string())
    assert (chain.id, chain.numbers[0]) == ("XY", "101C")


def test_location_with_the_highest_occupancy_is_taken(pdb_lines, native):
    x = native[:9]
    low, high = pdb_lines(x + 0.3, alt="A", occupancy=0.4), pdb_lines(x, alt="B", occupancy=0.6)
    for order in ((low, high), (high, low)):
        (chain,) = read_chains(text_of(*order))
        np.testing.assert_allclose(chain.coordinates, x, atol=6e-4)
    equal = pdb_lines(x, alt="B", occupancy=0.5), pdb_lines(x + 0.3, alt="A", occupancy=0.5)
    np.testing.assert_allclose(read_chains(text_of(*equal))[0].coordinates, x + 0.3, atol=6e-4)


def test_residues_of_two_kinds_at_one_place_are_one_residue(pdb_lines, native):
    x = native[:9]
    names = ["ALA"] * 4 + ["SER"] + ["ALA"] * 4
    lines = pdb_lines(x)
    other = pdb_lines(x + 0.1, names=names, alt="B", occupancy=0.7)[16:20]
    lines[16:20] = pdb_lines(x, alt="A", occupancy=0.3)[16:20] + other
    (chain,) = read_chains(text_of(lines))
    assert chain.sequence == "AAAASAAAA"
    np.testing.assert_allclose(chain.coordinates[4], x[4] + 0.1, atol=6e-4)


def test_side_by_side_locations_of_one_atom_keep_the_residue(pdb_lines, native):
    lines = pdb_lines(native[:9])
    oxygen = lines[19]
    lines[19:20] = [oxygen[:16] + "A" + oxygen[17:56] + "0.40" + oxygen[60:], oxygen[:16] + "B" + oxygen[17:]]
    (chain,) = read_chains(text_of(lines))
    assert len(chain) == 9


def test_selenomethionine_counts_and_other_hetero_atoms_do_not(pdb_lines, native):
    names = [["GLY", "TRP", "ASP"][k % 3] for k in range(9)]
    lines = pdb_lines(native[:9], names=names)
    for name, letters in (("MSE", "GWDGMDGWD"), ("SEP", None)):
        replaced = [line.replace("TRP", name).replace("ATOM  ", "HETATM") for line in lines[16:20]]
        chains = read_chains(text_of(lines[:16], replaced, lines[20:]))
        if letters:
            assert [c.sequence for c in chains] == [letters]
        else:
            assert [c.sequence for c in chains] == ["GWDG", "DGWD"]
    unknown = read_chains(text_of(pdb_lines(native[:3], names=["ALA", "XYZ", "ALA"])))
    assert unknown[0].sequence == "AXA"


def test_second_atom_of_one_name_is_ignored(pdb_lines, native):
    lines = pdb_lines(native[:5])
    (chain,) = read_chains(text_of(lines, pdb_lines(native[:5] + 1.0)))
    np.testing.assert_allclose(chain.coordinates, native[:5], atol=6e-4)


@pytest.mark.parametrize("word", ["     nan", "     inf", " 1.2.3.4", "        ", "   1e300"])
def test_coordinates_that_are_no_numbers_are_refused_by_name(pdb_lines, native, word):
    lines = pdb_lines(native[:9])
    lines[9] = lines[9][:38] + word + lines[9][46:]
    with pytest.raises(StructureError, match=r"atom CA of residue A 3 has coordinates .* must be numbers") as caught:
        read_chains(text_of(lines))
    assert caught.value.reason == "invalid_structure"


@pytest.mark.parametrize("text", ["", "\n\n", "hello", "data_x\n", "HETATM" + " " * 74, "REMARK\nEND\n"])
def test_files_without_protein_are_refused(text):
    with pytest.raises(StructureError, match=r"the structure has no protein.*allowed are PDB") as caught:
        read_chains(text)
    assert caught.value.reason == "no_protein"


def test_residues_that_are_all_in_pieces_are_refused(pdb_lines, native):
    with pytest.raises(StructureError, match="no residue with all of N, CA, C and O in place"):
        read_chains(text_of([line for line in pdb_lines(native) if line[13] != "N"]))


def test_too_many_residues_are_refused(pdb_lines, native, monkeypatch):
    monkeypatch.setattr("models.data.structures.MOST_RESIDUES", 8)
    assert read_chains(text_of(pdb_lines(native[:8])))
    with pytest.raises(StructureError, match="the structure has 9 residues; at most 8") as caught:
        read_chains(text_of(pdb_lines(native[:9])))
    assert caught.value.reason == "structure_too_large"


def test_reading_loads_no_network():
    code = "import sys, models.data.structures; sys.exit(bool({'torch', 'rdkit'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0  # child processes are small that way
