import pytest

from app.commands.source import read_source
from models.errors import MoleculeError


def test_source_is_a_smiles_unless_it_names_a_file(tmp_path):
    assert read_source("CCO") == [("smiles", "CCO", "molecule-1")]
    path = tmp_path / "in.SMI"
    path.write_text("C a b\n#x\n  O\n")
    assert read_source(str(path)) == [("smiles", "C", "a b"), ("smiles", "O", "molecule-2")]
    with pytest.raises(MoleculeError, match="no file"):
        read_source(str(tmp_path / "no.sdf"))
    (tmp_path / "in.mol2").write_text("C")
    with pytest.raises(MoleculeError, match="unknown extension"):
        read_source(str(tmp_path / "in.mol2"))


@pytest.mark.parametrize("text", ["C" * 300, "C/C=C/C" * 100, "C\0"])
def test_smiles_that_cannot_be_a_file_name_is_a_smiles(text):
    assert read_source(text) == [("smiles", text, "molecule-1")]


def test_mark_at_the_start_of_a_file_is_not_a_part_of_it(tmp_path):
    (tmp_path / "in.smi").write_bytes(b"\xef\xbb\xbfCCO a\r\n")
    assert read_source(str(tmp_path / "in.smi")) == [("smiles", "CCO", "a")]


def test_records_of_an_sdf_are_told_apart(tmp_path):
    path = tmp_path / "in.sdf"
    path.write_text("one\nx\n\nM  END\n> <a>\n1\n\n$$$$\n\nx\n\nM  END\n$$$$\n")
    assert [(form, name) for form, _, name in read_source(str(path))] == [
        ("molblock", "one"),
        ("molblock", "molecule-2"),
    ]
