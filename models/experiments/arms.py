"""The arms of the experiment on symmetry: what each does about rotations in training and in sampling."""

from dataclasses import dataclass, replace

from models.errors import DataError
from models.training.config import TrainConfig

MAX_AUTOMORPHISMS = 50


@dataclass(frozen=True)
class Arm:
    """One way to train and sample.

    Attributes:
        name: Word for it in tables.
        loss: See `models.training.loss`.
        coupling: `kabsch` or `none`.
        quotient: Whether the sampler moves between shapes only.
        automorphisms: Renumberings among which the coupling chooses too.
    """

    name: str
    loss: str
    coupling: str
    quotient: bool
    automorphisms: int = 0

    @property
    def pairs(self) -> str:
        """What noise and data are paired by, in one word."""
        return "automorphisms" if self.automorphisms else self.coupling


ARMS = (
    Arm("plain", "plain", "none", quotient=False),
    Arm("kabsch", "plain", "kabsch", quotient=False),
    Arm("alignment", "aligned", "none", quotient=False),
    Arm("quotient", "quotient", "none", quotient=True),
    Arm("quotient+kabsch", "quotient", "kabsch", quotient=True),
    Arm("quotient+kabsch+automorphisms", "quotient", "kabsch", quotient=True, automorphisms=MAX_AUTOMORPHISMS),
)


def find_arms(names: list[str]) -> tuple[Arm, ...]:
    """Arms by name, in the order of `ARMS`; all of them for no name.

    Raises:
        DataError: There is no arm of that name.
    """
    known = {arm.name: arm for arm in ARMS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"unknown arm {unknown[0]!r}; allowed: {', '.join(known)}")
    return tuple(arm for arm in ARMS if not names or arm.name in names)


def arm_config(base: TrainConfig, arm: Arm, seed: int) -> TrainConfig:
    """The arm's training run: `base` with a Gaussian prior, for which the SDE has a score where nothing is coupled."""
    return replace(
        base, loss=arm.loss, coupling=arm.coupling, automorphisms=arm.automorphisms, prior="gaussian", seed=seed
    )
