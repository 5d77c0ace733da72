import gzip

import pytest

from models.errors import DataError
from models.labels.sources import component_smiles, list_smiles


def fetch(tmp_path):
    """Files of packages, as they look inside."""
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(b"SMILES\nCCO\nCCN\n"))
    for k in (1, 2, 3):
        (tmp_path / f"qm9_part{k}.csv").write_text(f'XYZ_file,SMILES,x\n"a, b",{"C" * k},1\n')
    return lambda requirement, member: tmp_path / member.split("/")[-1]


def test_sources_are_read_and_shuffled_by_the_seed(tmp_path):
    get = fetch(tmp_path)
    assert sorted(list_smiles("moses", get, 0)) == ["CCN", "CCO"]
    assert sorted(list_smiles("qm9", get, 0)) == ["C", "CC", "CCC"]
    (tmp_path / "own.smi").write_text("".join(f"{'C' * k} name{k}\n" for k in range(1, 30)))
    orders = [list_smiles(str(tmp_path / "own.smi"), get, seed) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def test_unknown_source_is_named(tmp_path):
    with pytest.raises(DataError, match=r"unknown source 'zinc'; allowed: qm9, moses, components, or a file"):
        list_smiles("zinc", fetch(tmp_path), 0)


def test_components_are_listed_by_name_and_read_with_stereo():
    names = list_smiles("components", lambda requirement, member: None, 0)
    assert len(names) > 40_000
    assert "component ALA" in names
    assert component_smiles("ALA") == "C[C@H](N)C(=O)O"
    assert component_smiles("FUM") == "O=C(O)/C=C/C(=O)O"
    assert component_smiles("no such name") is None
