import numpy as np
import pytest
from matplotlib.image import imread
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from app.commands.draw import read_groups, run
from models.errors import ModelError


def write(path, *named):
    """SDF with two conformers of each (name, SMILES)."""
    with Chem.SDWriter(str(path)) as writer:
        for name, smiles in named:
            mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
            mol.SetProp("_Name", name)
            for number in rdDistGeom.EmbedMultipleConfs(mol, 2, randomSeed=7):
                writer.write(mol, confId=number)
    return path


def inked(path):
    """Pixels that differ from the background."""
    picture = imread(path)[..., :3]
    return int((np.abs(picture - 1).max(axis=2) > 0.05).sum())


def test_picture_shows_something(tmp_path):
    source = write(tmp_path / "in.sdf", ("a", "CCO"), ("b", "C[C@H](N)C(=O)O"), ("c", "c1ccccc1"))
    out = tmp_path / "new" / "out.png"
    run(source, out, False, 2)
    picture = imread(out)
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    for part in (picture[:rows, :columns], picture[:rows, columns:], picture[rows:, :columns]):
        below_title = part[60:, :, :3]
        assert (below_title < 0.9).any(axis=2).sum() > 500
    assert (picture[rows:, columns:, :3] == 1).all()


def test_picture_with_hydrogens_shows_more(tmp_path):
    source = write(tmp_path / "in.sdf", ("a", "CCO"))
    run(source, tmp_path / "heavy.png", False, 4)
    run(source, tmp_path / "all.png", True, 4)
    assert inked(tmp_path / "all.png") != inked(tmp_path / "heavy.png")


@pytest.mark.parametrize("extension", ["svg", "pdf"])
def test_picture_comes_in_other_formats(tmp_path, extension):
    out = tmp_path / f"out.{extension}"
    run(write(tmp_path / "in.sdf", ("a", "CCO")), out, False, 4)
    assert out.stat().st_size > 1000


@pytest.mark.parametrize("smiles", ["C", "[H][H]", "C#C", "O=C=O"])
@pytest.mark.parametrize("hydrogens", [False, True])
def test_picture_of_a_small_or_straight_molecule_can_be_drawn(tmp_path, smiles, hydrogens):
    run(write(tmp_path / "in.sdf", ("a", smiles)), tmp_path / "out.png", hydrogens, 4)
    assert (tmp_path / "out.png").is_file()


def test_conformers_under_one_name_are_one_ensemble(tmp_path):
    groups = read_groups(write(tmp_path / "in.sdf", ("a", "CCO"), ("b", "CO"), ("a", "CCO")))
    assert [(name, len(mols)) for name, mols in groups] == [("a", 2), ("b", 2), ("a", 2)]


def test_molecules_without_names_are_kept_apart(tmp_path):
    source = write(tmp_path / "in.sdf", ("", "CCO"), ("", "CO"))
    run(source, tmp_path / "out.png", False, 4)
    assert len(read_groups(source)) == 2


def test_picture_of_nothing_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no file at .*missing\.sdf"):
        run(tmp_path / "missing.sdf", tmp_path / "out.png", False, 4)
    (tmp_path / "empty.sdf").write_text("nonsense\n")
    with pytest.raises(ModelError, match="holds no structure"):
        run(tmp_path / "empty.sdf", tmp_path / "out.png", False, 4)


def test_picture_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ModelError, match="png"):
        run(write(tmp_path / "in.sdf", ("a", "CCO")), tmp_path / "out.doc", False, 4)
