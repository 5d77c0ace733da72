from collections.abc import Callable, Sequence

import numpy as np
import pytest

from models.data.backbones import BackboneSet


def _line(group, serial, atom, alt, name, chain, number, insertion, xyz, occupancy):
    x, y, z = xyz
    return (
        f"{group:<6}{serial:5d}  {atom:<3}{alt or ' '}{name:>3} {chain}{number:4d}{insertion or ' '}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{0:6.2f}          {atom[0]:>2}"
    )


@pytest.fixture(scope="session")
def pdb_lines() -> Callable[..., list[str]]:
    """Coordinates to ATOM lines of one chain; each residue may have a name, a number and an insertion code."""

    def build(
        x: np.ndarray,
        chain: str = "A",
        names: Sequence[str] | None = None,
        numbers: Sequence[tuple[int, str]] | None = None,
        group: str = "ATOM",
        alt: str = "",
        occupancy: float = 1.0,
    ) -> list[str]:
        return [
            _line(
                group, 4 * k + j + 1, atom, alt, names[k] if names else "ALA", chain,
                *(numbers[k] if numbers else (k + 1, "")), x[k, j], occupancy,
            )
            for k in range(len(x))
            for j, atom in enumerate(("N", "CA", "C", "O"))
        ]  # fmt: skip

    return build


@pytest.fixture
def native(backbones: BackboneSet) -> np.ndarray:
    """A natural chain with helix and strand, Å.  [L, 4, 3]"""
    shares = np.minimum(backbones.share_of("H"), backbones.share_of("E"))
    return backbones.chain(int(shares.argmax()))
