"""What is to be done to an ensemble after sampling."""

from dataclasses import dataclass
from math import isfinite

from models.errors import FinishError

METHODS = {"mmff94s": "MMFF94s"}  # as it is asked for, and as it is written
MAX_PRUNE_RMSD_ANG = 10.0
MAX_WINDOW_KCAL_MOL = 1_000.0


@dataclass(frozen=True)
class FinishOptions:
    """Steps after sampling; each is off by default.

    Attributes:
        relax: Method that moves each conformer to its energy minimum; its energies come with it.
        energies: Method of the energies.
        prune_rmsd: Of conformers closer than this only one is kept, Å.
        rank: Lowest energy first.
        energy_window: Conformers higher than this above the lowest are left out, kcal/mol.
    """

    relax: str | None = None
    energies: str | None = None
    prune_rmsd: float | None = None
    rank: bool = False
    energy_window: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        for name in ("relax", "energies"):
            value = getattr(self, name)
            if value is not None and value not in METHODS:
                raise FinishError(f"{name} is {value!r}; allowed: {', '.join(METHODS)}, or nothing")
        for name, most, unit in (
            ("prune_rmsd", MAX_PRUNE_RMSD_ANG, "Å"),
            ("energy_window", MAX_WINDOW_KCAL_MOL, "kcal/mol"),
        ):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and 0 < value <= most):
                raise FinishError(f"{name} is {value:g}; allowed: above 0 to {most:g} {unit}, or nothing")
        for name, asked in (("rank", self.rank), ("energy_window", self.energy_window is not None)):
            if asked and self.method is None:
                raise FinishError(
                    f"{name} needs energies and none are asked for; add energies or relax, or drop {name}"
                )

    @property
    def method(self) -> str | None:
        """Method of the energies, as it is written; None if none are asked for."""
        name = self.relax or self.energies
        return METHODS[name] if name else None

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self != FinishOptions()
