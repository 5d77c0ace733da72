"""SCOPe classes of backbones as a small classifier of our own sees them, and figures of distance made with it.

The classifier learns from one labelled training chain of each cluster and is checked on the labelled validation chains,
which share no cluster with them.  Its figures are made like those that are published for structure generators, but
those come from other classifiers, and the two cannot be compared.

Axes: M backbones, D descriptors, K classes, H hidden features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.data.backbones import TRAIN, VALIDATION, BackboneSet
from models.data.residues import FOLD_CLASSES
from models.errors import DataError
from models.evaluation.backbones.chains import Group, natives, per_length
from models.evaluation.backbones.descriptors import describe_folds

FEATURES = 16  # the hidden features that are compared
_WIDTH, _STEPS, _RATE, _DECAY, _DROPOUT = 64, 250, 3e-3, 0.05, 0.2
_LARGEST = 5.0  # standard deviations


@dataclass(frozen=True)
class ClassModel:
    """A trained classifier.

    Attributes:
        network: From standardised descriptors to classes; its last layer sees `FEATURES` numbers.
        mean: Of the descriptors of the training chains.  [D]
        spread: Their standard deviation.  [D]
        trained_on: Chains it learned from.
        held_out: Chains it was checked on.
        accuracy: Share of those whose class it finds; None without any.
        balanced: The same, each class counted equally.
        majority: Share of the most frequent class among them: what guessing reaches.
    """

    network: nn.Sequential
    mean: Tensor
    spread: Tensor
    trained_on: int
    held_out: int
    accuracy: float | None
    balanced: float | None
    majority: float | None

    def card(self) -> dict[str, float | None]:
        """How good it is, as plain values."""
        names = ("trained_on", "held_out", "accuracy", "balanced", "majority")
        return {name: getattr(self, name) for name in names}

    @torch.no_grad()
    def __call__(self, group: Group) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of the classes and hidden features; finite backbones only.  [M, K], [M, H]"""
        hidden = self.network[:-1](self._standard(_describe(group)))
        return self.network[-1](hidden).softmax(-1).numpy().astype(np.float64), hidden.numpy().astype(np.float64)

    def _standard(self, descriptors: Tensor) -> Tensor:
        return ((descriptors - self.mean) / self.spread).clamp(-_LARGEST, _LARGEST)


def train_classes(
    chains: BackboneSet, seed: int, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> ClassModel:
    """Learn the classes of the labelled training chains; the same seed gives the same classifier.

    Raises:
        DataError: No training chain has a label.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(np.flatnonzero((chains.split == TRAIN) & (chains.fold > 0)))
    if not len(shuffled):
        raise DataError("no training chain of the set has a SCOPe class to learn from; leave the classes out")
    chosen = np.sort(shuffled[np.unique(chains.cluster[shuffled], return_index=True)[1]])
    picked = np.isin(np.arange(len(chains)), chosen)
    descriptors = _describe(natives("training", chains, picked))
    label = torch.from_numpy(chains.fold[picked].astype(np.int64) - 1)
    model = _fit(descriptors, label, seed, on_progress)
    checked = (chains.split == VALIDATION) & (chains.fold > 0)
    return _check(model, natives("validation", chains, checked), chains.fold[checked].astype(np.int64) - 1)


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float | None:
    """Squared Frechet distance of the Gaussians with the moments of two sets; None below two members of either.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2).  Small sets are further apart than large ones of the same kind.

    Args:
        first: Features.  [M, H]
        second: Features.  [M2, H]

    Source:
        Dowson and Landau 1982, "The Frechet distance between multivariate normal distributions".
    """
    if min(len(first), len(second)) < 2:
        return None
    left, right = (np.cov(side, rowvar=False) for side in (first, second))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(left @ right).real, 0)).sum()
    away = np.square(first.mean(0) - second.mean(0)).sum()
    return float(max(0.0, away + np.trace(left) + np.trace(right) - 2 * roots))


def _describe(group: Group) -> Tensor:
    return torch.from_numpy(np.stack(per_length(group, describe_folds)))


def _fit(descriptors: Tensor, label: Tensor, seed: int, on_progress: Callable[[int, int], None]) -> ClassModel:
    """Full-batch training."""
    mean, spread = descriptors.mean(0), descriptors.std(0, correction=0).clamp(min=1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(descriptors.shape[1], _WIDTH), nn.SiLU(), nn.Dropout(_DROPOUT),
            nn.Linear(_WIDTH, FEATURES), nn.SiLU(), nn.Linear(FEATURES, len(FOLD_CLASSES)),
        )  # fmt: skip
        model = ClassModel(network, mean, spread, len(label), 0, None, None, None)
        x = model._standard(descriptors)
        optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
        for step in range(1, _STEPS + 1):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), label).backward()
            optimizer.step()
            on_progress(step, _STEPS)
    network.eval().requires_grad_(False)
    return model


def _check(model: ClassModel, held: Group, label: np.ndarray) -> ClassModel:
    """The same with its accuracy."""
    if not len(held):
        return model
    right = model(held)[0].argmax(1) == label
    each = [right[label == k].mean() for k in np.unique(label)]
    majority = np.bincount(label).max() / len(label)
    return ClassModel(
        model.network, model.mean, model.spread, model.trained_on, len(label), float(right.mean()),
        float(np.mean(each)), float(majority),
    )  # fmt: skip
