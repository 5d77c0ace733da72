import pytest

from models.export.polymer import RESIDUES, polymer_categories, sequence_records


@pytest.mark.parametrize("length", [1, 12, 13, 14, 26, 256])
def test_sequence_records_name_every_residue(length):
    lines = sequence_records("GLY", length)
    assert [int(line[7:10]) for line in lines] == list(range(1, len(lines) + 1))
    assert {int(line[13:17]) for line in lines} == {length}
    assert " ".join(line[19:] for line in lines).split() == ["GLY"] * length
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("residue", RESIDUES)
def test_polymer_is_one_entity_of_one_chain(residue):
    found = polymer_categories(residue, 5, "t", "d")
    assert len(found["entity_poly"]["pdbx_seq_one_letter_code"]) == 5
    assert found["entity_poly_seq"]["num"].tolist() == [1, 2, 3, 4, 5]
    keys = {found["entity"]["id"], found["entity_poly"]["entity_id"], found["struct_asym"]["entity_id"]}
    assert keys == {*found["entity_poly_seq"]["entity_id"]}
