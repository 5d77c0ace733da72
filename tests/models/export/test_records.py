import numpy as np
import pytest
from biotite.structure import AtomArrayStack

from models.errors import FormatError
from models.export.records import to_atom_records, to_remarks


def stack(x):
    made = AtomArrayStack(len(x), x.shape[1])
    made.coord = x.astype(np.float32)
    made.atom_name[:] = "CA"
    made.element[:] = "C"
    return made


def test_long_values_are_whole_in_the_remarks():
    value = "".join(str(k % 10) for k in range(100))
    lines = to_remarks(3, {"key": value, "empty": ""})
    assert all(line.startswith("REMARK 250 MODEL 3 ") and len(line) <= 80 for line in lines)
    assert "".join(line.split(" KEY ")[1] for line in lines[:-1]) == value
    assert lines[-1] == "REMARK 250 MODEL 3 EMPTY "


def test_each_model_has_its_own_lines():
    x = np.random.default_rng(0).normal(size=(3, 2, 3))
    models = to_atom_records(stack(x), "mmcif")
    assert [[float(line[30:38]) for line in lines] for lines in models] == pytest.approx(x[..., 0], abs=6e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_coordinates_beyond_the_columns_are_refused(sign):
    with pytest.raises(FormatError, match="999 Å, which PDB cannot hold; ask for mmcif"):
        to_atom_records(stack(np.full((1, 1, 3), 1000.0 * sign)), "mmcif")
