"""Name to trained model: read `registry.json`, check the SHA-256, build the network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load, save
from torch import Tensor

from models.errors import BackboneError, SamplerError, WeightsError
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.samplers.prior import Prior, SpreadPrior, build_prior

REGISTRY = "registry.json"


@dataclass(frozen=True)
class Model:
    """A trained network and what the sampler must know of how it was trained.

    Attributes:
        name: Name in the registry.
        module: The denoiser, in evaluation mode.
        prior: Where its paths start.
        prior_kind: `gaussian`, `harmonic` or `chain`.
        prior_std_ang: Scale of the prior, Å.
        coupling: `kabsch` or `none`.
        card: The registry's entry, plain JSON values.
        device: Where the network is.
    """

    name: str
    module: PreconditionedDenoiser
    prior: Prior
    prior_kind: str
    prior_std_ang: float
    coupling: str
    card: dict[str, Any]
    device: torch.device

    @property
    def score_prior(self) -> SpreadPrior:
        """The prior, if there is a score for it.

        Raises:
            SamplerError: As for `check_sampler`.
        """
        self.check_sampler("sde")
        return cast(SpreadPrior, self.prior)

    @property
    def lengths(self) -> tuple[int, int]:
        """Fewest and most residues of the backbones that it was trained on.

        Raises:
            WeightsError: It is not a model of backbones, or its card does not say.
        """
        found = self.card.get("training", {}).get("lengths")
        if not found:
            raise WeightsError(
                f"model {self.name!r} samples no backbones: its card has no training.lengths; choose one that has"
            )
        least, most = found
        return int(least), int(most)

    def check_length(self, length: int) -> None:
        """Refuse backbones outside the range of its training.

        Raises:
            BackboneError: It is too short or too long.
            WeightsError: As for `lengths`.
        """
        least, most = self.lengths
        if not least <= length <= most:
            raise BackboneError(f"length is {length}; model {self.name!r} was trained on {least} to {most} residues")

    def check_sampler(self, kind: str) -> None:
        """Refuse samplers that need a score which this model does not have.

        Raises:
            SamplerError: The SDE was asked of a model with a coupled or harmonic prior.
        """
        if kind == "sde" and (self.prior_kind == "harmonic" or self.coupling != "none"):
            raise SamplerError(
                f"model {self.name!r} was trained with a {self.prior_kind} prior and {self.coupling} coupling, which "
                "has no exact score; sampler kind 'sde' needs an uncoupled gaussian or chain prior. Use 'ode' or 'heun'"
            )


def check_molecules(name: str, card: dict[str, Any]) -> None:
    """Refuse a model of backbones where one of molecules is needed; `card` is its entry in the registry.

    Raises:
        WeightsError: Its training has lengths.
    """
    if card.get("training", {}).get("lengths"):
        raise WeightsError(f"model {name!r} samples protein backbones, no molecules; for those ask by length")


def pick_device(name: str) -> torch.device:
    """Device by name; `auto` means the first GPU, or else the CPU.

    Raises:
        WeightsError: There is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise WeightsError(f"unknown device {name!r}; allowed: auto, cpu, cuda, cuda:1, ...") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise WeightsError(f"device {name!r} is not here: torch sees {torch.cuda.device_count()} GPUs; use auto or cpu")
    return device


def read_registry(folder: Path) -> dict[str, dict[str, Any]]:
    """All entries of the registry, by name."""
    path = folder / REGISTRY
    if not path.is_file():
        raise WeightsError(
            f"no {REGISTRY} in {folder.resolve()}; set the folder with --weights or SHAPESPACE_WEIGHTS_DIR"
        )
    try:
        return json.loads(path.read_text())["models"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"the registry {path.resolve()} is not JSON with an entry 'models': {error}") from error


def find_weights(name: str, folder: Path) -> tuple[dict[str, Any], Path]:
    """Registry entry and file of a model.

    Raises:
        WeightsError: Unknown name or missing file.
    """
    registry = read_registry(folder)
    if name not in registry:
        raise WeightsError(f"unknown model {name!r}; registered: {', '.join(sorted(registry))}")
    path = folder / registry[name]["file"]
    if not path.is_file():
        raise WeightsError(f"the weights file {path.resolve()} is missing; the registry names it for {name!r}")
    return registry[name], path


def save_model(name: str, folder: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> dict[str, Any]:
    """Write a weights file and its registry entry.

    Args:
        name: Name in the registry; an entry of this name is replaced.
        folder: Where the registry is.
        tensors: State of a `PreconditionedDenoiser`.
        card: `network` and `training` are needed to load the model again; the rest is for people.

    Returns:
        The entry, which is the card with file, size and checksum.
    """
    content = save(tensors)
    file = f"{name}.safetensors"
    (folder / file).write_bytes(content)
    entry = {**card, "file": file, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    known = read_registry(folder) if (folder / REGISTRY).is_file() else {}
    (folder / REGISTRY).write_text(json.dumps({"models": {**known, name: entry}}, indent=2) + "\n")
    return entry


def load_model(name: str, folder: Path, device: torch.device) -> Model:
    """Read a model's weights, check them and build it.

    Args:
        name: Name in the registry.
        folder: Where the registry and the weights are.
        device: Where to put the network.

    Returns:
        The model in evaluation mode.

    Raises:
        WeightsError: Unknown name, missing file, or a file that is not the registered one.
    """
    card, path = find_weights(name, folder)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["sha256"]:
        raise WeightsError(f"{path} has the SHA-256 {digest[:16]}..., registered is {card['sha256'][:16]}...")
    sizes = {key: tuple(card["network"][key]) for key in ("token_sizes", "pair_sizes")}
    module = PreconditionedDenoiser(DenoiserConfig(**{**card["network"], **sizes}))
    module.load_state_dict(load(content))
    module.eval().requires_grad_(False).to(device)
    return build_model(name, module, card["training"], card, device)


def build_model(
    name: str, module: PreconditionedDenoiser, training: dict[str, Any], card: dict[str, Any], device: torch.device
) -> Model:
    """Wrap a network with the facts of its training."""
    std = float(training["prior_std_ang"])
    prior = build_prior(training["prior"], std)
    return Model(name, module, prior, training["prior"], std, training["coupling"], card, device)
