import json
from pathlib import Path

import numpy as np

from models.data.backbones import read_backbones

DATA = Path(__file__).parents[2] / "files" / "backbones.npz"


def test_command_pairs_arrays_by_name_and_writes_record_and_page(tmp_path, shapespace):
    chains = read_backbones(DATA)
    x = np.stack([chains.chain(k) for k in (10, 12)])
    for folder in ("samples", "predicted"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "set.npz", x_64=x + (0 if folder == "samples" else 3))
    words = ["evaluate", "scrmsd", str(tmp_path / "samples"), str(tmp_path / "predicted"), "--out", str(tmp_path / "o")]
    assert shapespace(*words)[0] == 0
    record = json.loads((tmp_path / "o" / "scrmsd.json").read_text())
    assert record["summary"][0]["below"]["mean"] == 1 and record["missing"] == []
    assert max(one["rmsd_ang"] for one in record["samples"]) < 1e-3
    assert "100.0 [100.0, 100.0]" in (tmp_path / "o" / "scrmsd.md").read_text()
