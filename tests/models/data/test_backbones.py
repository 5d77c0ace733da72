import json
from dataclasses import replace

import numpy as np
import pytest

from models.data.backbones import TRAIN, read_backbones, write_backbones
from models.errors import DataError


def test_chains_have_the_geometry_of_proteins(backbones):
    for number in range(len(backbones)):
        x = backbones.chain(number)
        assert x.shape == (backbones.lengths[number], 4, 3)
        np.testing.assert_allclose(np.linalg.norm(np.diff(x[:, 1], axis=0), axis=1), 3.8, atol=1.0)
        np.testing.assert_allclose(np.linalg.norm(x[:, 1] - x[:, 0], axis=1), 1.46, atol=0.1)
        np.testing.assert_allclose(np.linalg.norm(x[:, 3] - x[:, 2], axis=1), 1.23, atol=0.1)


def test_selected_chains_are_the_same_chains(backbones):
    wanted = (backbones.split == TRAIN) & (backbones.lengths < 65)
    part = backbones.select(wanted)
    assert 0 < len(part) < len(backbones)
    for row, number in enumerate(np.flatnonzero(wanted)):
        assert part.keys[row] == backbones.keys[number]
        assert (part.chain(row) == backbones.chain(number)).all()
    assert len(part.secondary) == len(part.sequence) == part.lengths.sum()
    assert (part.share_of("H") == backbones.share_of("H")[wanted]).all()


def test_shares_of_secondary_structure_add_up_to_one(backbones):
    shares = [backbones.share_of(letter) for letter in "HEC"]
    np.testing.assert_allclose(sum(shares), 1, atol=1e-6)
    assert shares[0].max() > 0.5


def test_files_that_are_no_sets_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="no data file at"):
        read_backbones(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(DataError, match="is not an npz file"):
        read_backbones(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", offset=np.zeros(1))
    with pytest.raises(DataError, match=r"lacks planes, key.*not a set of backbones"):
        read_backbones(tmp_path / "other.npz")


def test_set_that_is_written_is_the_set_that_is_read(backbones, tmp_path):
    moved = replace(backbones, coordinates=backbones.coordinates + np.float32(50.004))
    write_backbones(tmp_path / "set.npz", moved, {"seed": 3})
    again = read_backbones(tmp_path / "set.npz")
    for name in ("offsets", "keys", "sequence", "secondary", "fold", "cluster", "split", "core"):
        assert (getattr(again, name) == getattr(backbones, name)).all(), name
    for number in range(len(backbones)):
        x = backbones.chain(number)
        np.testing.assert_allclose(again.chain(number), x - x[0, 1], atol=0.0151)
    write_backbones(tmp_path / "again.npz", again)
    assert (read_backbones(tmp_path / "again.npz").coordinates == again.coordinates).all()
    assert json.loads(str(np.load(tmp_path / "set.npz")["about"])) == {"seed": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "set.npz"]


@pytest.mark.parametrize("far", [400.0, np.nan])
def test_steps_that_do_not_fit_are_refused_and_leave_no_file(backbones, tmp_path, far):
    x = backbones.coordinates.copy()
    x[10:] += far
    with pytest.raises(DataError, match="more than 327 Å apart or not finite; cut the chain there"):
        write_backbones(tmp_path / "set.npz", replace(backbones, coordinates=x))
    assert not list(tmp_path.iterdir())


def test_chain_without_residues_is_refused(backbones, tmp_path):
    offsets = backbones.offsets.copy()
    offsets[1] = 0
    with pytest.raises(DataError, match=f"chain {backbones.keys[0]} has no residues"):
        write_backbones(tmp_path / "set.npz", replace(backbones, offsets=offsets))
