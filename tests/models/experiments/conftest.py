"""Small held-out molecules, and networks whose guess is known."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from models.data.datasets import ReferenceMolecule
from models.evaluation.case import Case, read_cases
from models.evaluation.conformers import Target
from models.geometry.alignment import align
from models.weights import Model


class Guess(nn.Module):
    """Guesses by a formula, `guess(x, t)`."""

    def __init__(self, guess: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.config = SimpleNamespace(points_per_token=1)
        self.guess = guess

    def forward(self, batch, x, t, guess=None, half=False, begin=None):
        return self.guess(x, t)


@pytest.fixture
def guessing(model_of: Callable[..., Model]) -> Callable[..., Model]:
    """Model with a Gaussian uncoupled prior that guesses by a formula."""
    return lambda guess: model_of(Guess(guess), "gaussian", "none")


@pytest.fixture
def knowing(guessing: Callable[..., Model]) -> Callable[..., Model]:
    """Model that knows one molecule: its structure, turned onto what it is shown."""

    def build(target: Target) -> Model:
        known = torch.from_numpy(target.references[0]).float()
        known = known - known.mean(0)

        def guess(x: Tensor, t: Tensor) -> Tensor:
            padded = torch.zeros_like(x)
            padded[:, : len(known)] = known
            mask = torch.arange(x.shape[1]).expand(x.shape[:2]) < len(known)
            return align(padded, x, mask)

        return guessing(guess)

    return build


@pytest.fixture(scope="session")
def cases(references: list[ReferenceMolecule]) -> list[Case]:
    """Eight of the small molecules, one reference each."""
    return [case for case in read_cases(references, 1, None, 0) if case.target][1:16:2]


@pytest.fixture(scope="session")
def targets(cases: list[Case]) -> list[Target]:
    return [case.target for case in cases]
