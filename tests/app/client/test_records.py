import pytest

from app.client import Client


def test_structures_of_another_format_are_for_files(served, tmp_path):
    with Client(served()) as client:
        job = client.submit("CC", 1, format="pdb")
        client.wait(job.id)
        with pytest.raises(ValueError, match="download"):
            client.result(job.id)
        client.download(job.id, tmp_path / "out.pdb", "chemical/x-pdb")
    assert "HETATM" in (tmp_path / "out.pdb").read_text()


def test_results_are_a_sequence(served):
    with Client(served()) as client:
        made = client.sample(["C", "CC"], 1)
    assert [result.smiles for result in made] == ["C", "CC"]
    assert made[-1].smiles == "CC"
    assert "structure" not in made[0].record
