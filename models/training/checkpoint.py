"""Save and resume a run: safetensors and JSON, no pickles.

A checkpoint is one folder.  It is written beside the old one and then renamed over it, so a kill at any moment leaves
a whole checkpoint.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.errors import DataError
from models.training.ema import WeightAverage


def save_checkpoint(
    folder: Path,
    module: nn.Module,
    average: WeightAverage,
    optimizers: list[torch.optim.Optimizer],
    progress: dict,
) -> None:
    """Write weights, averaged weights, optimiser moments and progress.

    Args:
        folder: Replaced as a whole.
        module: The network in training.
        average: Its running average.
        optimizers: In a fixed order.
        progress: Plain numbers: step, elapsed seconds, samples seen.
    """
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(_contiguous(module.state_dict()), fresh / "weights.safetensors")
    save_file(_contiguous(average.average), fresh / "average.safetensors")
    for number, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()["state"]
        moments = {f"{index}.{key}": torch.as_tensor(v) for index, slot in state.items() for key, v in slot.items()}
        save_file(_contiguous(moments), fresh / f"optimizer{number}.safetensors")
    (fresh / "progress.json").write_text(json.dumps(progress))
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def has_checkpoint(folder: Path) -> bool:
    """Whether there is something to resume, in place or left by a kill between two renames."""
    return any(_complete(path) for path in _places(folder))


def load_checkpoint(
    folder: Path, module: nn.Module, average: WeightAverage, optimizers: list[torch.optim.Optimizer]
) -> dict:
    """Restore everything `save_checkpoint` wrote and return its `progress`."""
    place = next((path for path in _places(folder) if _complete(path)), None)
    if place is None:
        raise DataError(f"no checkpoint in {folder}")
    module.load_state_dict(load_file(place / "weights.safetensors"))
    average.load(load_file(place / "average.safetensors"))
    for number, optimizer in enumerate(optimizers):
        moments = load_file(place / f"optimizer{number}.safetensors")
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in moments.items():
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    return json.loads((place / "progress.json").read_text())


def _places(folder: Path) -> tuple[Path, ...]:
    return folder, folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")


def _complete(folder: Path) -> bool:
    return (folder / "progress.json").is_file()


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
