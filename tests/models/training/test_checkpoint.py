import shutil

import pytest
import torch
from torch import nn

from models.errors import DataError
from models.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from models.training.ema import WeightAverage

PROGRESS = {"step": 3, "elapsed_s": 1.5, "conformers": 12}


def parts(seed, steps=0):
    """A small network with both kinds of optimiser, after a few steps."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 3))
    optimizers = [
        torch.optim.AdamW([module[0].bias, module[2].bias], lr=0.01),
        torch.optim.Muon([module[0].weight, module[2].weight], lr=0.01),
    ]
    average = WeightAverage(module, 0.9)
    for step in range(steps):
        walk(module, average, optimizers, step)
    return module, average, optimizers


def walk(module, average, optimizers, step):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
    module(x).square().sum().backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    average.update(module, step + 1)


def same(first, second):
    return all(torch.equal(first[k], second[k]) for k in first) and first.keys() == second.keys()


def test_restored_run_goes_on_as_the_saved_one(tmp_path):
    module, average, optimizers = parts(0, steps=3)
    save_checkpoint(tmp_path / "run", module, average, optimizers, PROGRESS)
    other, other_average, other_optimizers = parts(1, steps=1)
    assert load_checkpoint(tmp_path / "run", other, other_average, other_optimizers) == PROGRESS
    for step in range(3, 6):
        walk(module, average, optimizers, step)
        walk(other, other_average, other_optimizers, step)
    assert same(module.state_dict(), other.state_dict())
    assert same(average.average, other_average.average)


def test_nothing_is_pickled_and_nothing_is_left_beside(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path / "run", *parts(0, steps=step), {**PROGRESS, "step": step})
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert {p.suffix for p in (tmp_path / "run").iterdir()} == {".safetensors", ".json"}
    assert load_checkpoint(tmp_path / "run", *parts(1))["step"] == 2


def test_missing_checkpoint_is_named(tmp_path):
    assert not has_checkpoint(tmp_path / "run")
    with pytest.raises(DataError, match=r"no checkpoint in .*run"):
        load_checkpoint(tmp_path / "run", *parts(0))


def test_half_written_checkpoint_is_ignored(tmp_path):
    half = tmp_path / "run.new"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    assert not has_checkpoint(tmp_path / "run")
    save_checkpoint(tmp_path / "run", *parts(0, steps=1), PROGRESS)
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    module, average, optimizers = parts(1)
    assert load_checkpoint(tmp_path / "run", module, average, optimizers) == PROGRESS
    assert same(module.state_dict(), parts(0, steps=1)[0].state_dict())
    save_checkpoint(tmp_path / "run", *parts(0, steps=2), {**PROGRESS, "step": 4})
    assert load_checkpoint(tmp_path / "run", module, average, optimizers)["step"] == 4


@pytest.mark.parametrize(
    "moment", ["while writing", "before the first rename", "between the renames", "before the end"]
)
def test_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path, moment, monkeypatch):
    folder = tmp_path / "run"
    save_checkpoint(folder, *parts(0, steps=1), {**PROGRESS, "step": 1})

    class KilledError(Exception):
        pass

    def killed(*args, **kwargs):
        raise KilledError

    original = type(folder).rename
    renames = []

    def rename(path, target):
        renames.append(target)
        if len(renames) == {"before the first rename": 1, "between the renames": 2}.get(moment):
            raise KilledError
        return original(path, target)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        if moment == "while writing":
            patch.setattr("models.training.checkpoint.save_file", killed)
        elif moment == "before the end":
            calls = []

            def rmtree(path, **kwargs):
                calls.append(path)
                if len(calls) == 3:
                    raise KilledError
                shutil.rmtree(path, **kwargs)

            patch.setattr("models.training.checkpoint.shutil", type("Shutil", (), {"rmtree": staticmethod(rmtree)}))
        patch.setattr(type(folder), "rename", rename)
        save_checkpoint(folder, *parts(0, steps=2), {**PROGRESS, "step": 2})
    assert has_checkpoint(folder)
    step = load_checkpoint(folder, *parts(1))["step"]
    assert step == (1 if moment in ("while writing", "before the first rename") else 2)
    save_checkpoint(folder, *parts(0, steps=3), {**PROGRESS, "step": 3})
    assert load_checkpoint(folder, *parts(1))["step"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
