import numpy as np
import pytest

from models.geometry.backbone import backbone_torsions


def test_torsions_of_a_helix_are_those_of_a_helix(backbones):
    number = int(backbones.share_of("H").argmax())
    inside = slice(backbones.offsets[number], backbones.offsets[number + 1])
    helix = backbones.secondary[inside] == 0
    phi, psi, omega = (np.degrees(a[0]) for a in backbone_torsions(backbones.chain(number)[None]))
    assert np.median(phi[helix]) == pytest.approx(-63, abs=6)
    assert np.median(psi[helix]) == pytest.approx(-43, abs=8)
    assert np.nanmedian(np.abs(omega)) == pytest.approx(178, abs=4)
    assert np.isnan(phi[0])
    assert np.isnan(psi[-1])
