import json
from pathlib import Path

import numpy as np
import pytest

from app.cli import main
from app.commands import evaluate_backbones as command
from models.data.backbones import read_backbones
from models.errors import DataError

DATA = Path(__file__).parents[2] / "files" / "backbones.npz"


@pytest.fixture
def samples(tmp_path):
    """Two chains of 64 residues in a file."""
    chains = read_backbones(DATA)
    np.savez(tmp_path / "samples.npz", x_64=np.stack([chains.chain(k) for k in (10, 12)]))
    return tmp_path / "samples.npz"


def test_command_writes_record_page_and_picture(samples, tmp_path, monkeypatch):
    out = tmp_path / "out"
    words = ["shapespace", "evaluate", "backbones", "--data", str(DATA), "--samples", str(samples), "--out", str(out)]
    monkeypatch.setattr("sys.argv", [*words, "--max-compared", "2", "--max-searched", "1", "--noise", ".5"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    record = json.loads((out / "backbones.json").read_text())
    rows = {row["name"]: row for row in record["bins"][0]["rows"]}
    assert rows["samples"]["chains"] == 2 and rows["samples"]["passed"]["mean"] == 1
    assert rows["samples"]["novelty"]["nearest_tm"]["mean"] == pytest.approx(1, abs=1e-3)
    assert "validation chains + 0.5 Å noise" in rows
    assert record["samples"] == {"from": "samples.npz", "number": 2}
    assert record["settings"]["noises_ang"] == [0.5] and len(record["data"]["sha256"]) == 64
    assert (out / "backbones.md").read_text().startswith("# Evaluation of backbones")
    assert (out / "backbones.png").stat().st_size > 10_000


def test_samples_of_a_model_are_measured_as_it_draws_them(tmp_path):
    chains = read_backbones(DATA)
    asked = []

    def draw(length, count, seed):
        asked.append((length, count, seed))
        return np.stack([chains.chain(k)[:length] for k in (10, 12)])

    config = command.BackboneConfig(noises_ang=(), max_compared=0, max_searched=0, core_only=False, seed=7)
    command.run_model(DATA, "mine", draw, (60, 64), 2, config, tmp_path)
    record = json.loads((tmp_path / "backbones.json").read_text())
    assert asked == [(60, 2, 7), (64, 2, 7)]
    assert record["samples"] == {"from": "mine", "number": 4, "lengths": [60, 64]}
    assert record["bins"][0]["rows"][0]["lengths"] == {"60": 2, "64": 2}


def test_numbers_of_an_option_are_read_or_refused():
    assert command.parse_numbers(".3, .6,", "--noise") == (0.3, 0.6)
    with pytest.raises(DataError, match="--edges is '40;80'"):
        command.parse_numbers("40;80", "--edges")


def test_evaluate_of_molecules_still_asks_for_its_set(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["shapespace", "evaluate", "--model", "molecules-small"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "--data and --out" in capsys.readouterr().err
