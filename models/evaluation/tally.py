"""How many structures are right, whatever they are compared with.

Axes: N atoms.  Coordinates are in Å.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.data.verify import check_geometry, geometry_limits, stereo_matches
from models.evaluation.conformers import Sampled
from models.evaluation.validity import stereo_double_bonds
from models.structure import Molecule


@dataclass(frozen=True)
class Tally:
    """Counts over structures.

    Attributes:
        asked: Structures asked for.
        passed: Those that pass every check.
        stereo_asked: Structures asked for of molecules that have stereo.
        stereo_right: Those with the right stereo.
        faults: First fault of each that did not pass, or why it was not made.
    """

    asked: int = 0
    passed: int = 0
    stereo_asked: int = 0
    stereo_right: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.asked + other.asked,
            self.passed + other.passed,
            self.stereo_asked + other.stereo_asked,
            self.stereo_right + other.stereo_right,
            dict(sorted((Counter(self.faults) + Counter(other.faults)).items())),
        )


def tally(molecule: Molecule, structures: Sequence[np.ndarray], missing: Sequence[str]) -> Tally:
    """Count what is right.

    Args:
        molecule: What was asked for.
        structures: Those that were made, Å.  [N, 3] each
        missing: Why the others were not.
    """
    asked = len(structures) + len(missing)
    x = np.array(structures).reshape(-1, molecule.num_atoms, 3)
    geometry = check_geometry(geometry_limits(molecule), x)
    right = [bool(np.isfinite(row).all()) and stereo_matches(molecule, row) for row in x]
    faults = [fault or (None if good else "wrong_stereo") for fault, good in zip(geometry, right, strict=True)]
    has_stereo = len(molecule.features.quadruples) or len(stereo_double_bonds(molecule.mol)[0])
    return Tally(
        asked,
        faults.count(None),
        asked if has_stereo else 0,
        sum(right) if has_stereo else 0,
        dict(sorted(Counter([*(fault for fault in faults if fault), *missing]).items())),
    )


def tally_sampled(sampled: Sampled) -> Tally:
    """Count what is right among as many structures as the target asks for; those that are missing are wrong."""
    missing = sampled.target.requested - len(sampled.samples)
    return tally(sampled.target.molecule, list(sampled.samples), [sampled.failure or "embedding_failed"] * missing)
