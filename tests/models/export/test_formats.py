import pytest

from models.errors import FormatError
from models.export.backbone_formats import BACKBONE_FORMATS
from models.export.format import find_format
from models.export.formats import FORMATS
from models.export.macromolecular import to_mmcif, to_pdb
from models.export.molecule import to_sdf, to_xyz


def test_format_is_found_by_its_name():
    assert list(FORMATS) == ["sdf", "pdb", "xyz", "mmcif"]
    assert list(BACKBONE_FORMATS) == ["pdb", "mmcif", "bcif"]
    for formats in (FORMATS, BACKBONE_FORMATS):
        assert all(find_format(name, formats).name == name for name in formats)
    assert len({f.media_type for f in FORMATS.values()}) == len({f.extension for f in FORMATS.values()}) == 4


@pytest.mark.parametrize("name", ["mol2", "", "SDF"])
def test_unknown_format_is_refused_with_the_allowed_ones(name):
    with pytest.raises(FormatError, match=f"unknown format '{name}'; allowed: sdf, pdb, xyz, mmcif$"):
        find_format(name, FORMATS)
    with pytest.raises(FormatError, match=f"unknown format '{name}'; allowed: pdb, mmcif, bcif$"):
        find_format(name, BACKBONE_FORMATS)


def test_each_format_writes_its_own_text(ensemble_of):
    ensembles = [ensemble_of("CCO", "a"), ensemble_of("CF", "b")]
    written = {name: f.write(ensembles, "m") for name, f in FORMATS.items()}
    assert written == {
        "sdf": "".join(to_sdf(e, "m") for e in ensembles),
        "xyz": "".join(to_xyz(e, "m") for e in ensembles),
        "pdb": to_pdb(ensembles, "m"),
        "mmcif": to_mmcif(ensembles, "m"),
    }
