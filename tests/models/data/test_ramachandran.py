import numpy as np
import pytest

from models.data.ramachandran import ALLOWED, BINS, FAVOURED, OUTLIER, bin_of, build_table, classify, general_angles


@pytest.mark.parametrize(
    ("phi", "psi", "region"),
    [
        (-63, -43, FAVOURED),  # helix
        (-120, 130, FAVOURED),  # strand
        (63, 43, FAVOURED),  # left-handed turn, small
        (-63 + 360, -43 - 360, FAVOURED),
        (60, -90, OUTLIER),
        (0, 0, OUTLIER),
        (float("nan"), 0, OUTLIER),
    ],
)
def test_known_conformations_are_in_their_regions(phi, psi, region):
    assert classify(np.radians([phi]), np.radians([psi]))[0] == region


def test_mirror_image_of_a_helix_is_not_favoured_where_helices_are():
    phi, psi = np.radians(np.full(10, -63.0)), np.radians(np.full(10, -43.0))
    assert (classify(phi, psi) == FAVOURED).all()
    assert (classify(phi - 0.5, psi + 2.0) == FAVOURED).all()
    assert (classify(-phi + 0.9, -psi) != FAVOURED).all()


def test_bins_span_the_circle():
    assert bin_of(np.radians(np.array([-180, -175.1, 0, 179.9, 180, 540]))).tolist() == [0, 0, 36, 71, 0, 0]


def test_table_holds_the_shares_that_it_promises():
    rng = np.random.default_rng(0)
    phi, psi = rng.normal(-1.1, 0.3, 50_000), rng.normal(-0.7, 0.3, 50_000)
    table = build_table(phi, psi)
    regions = table[bin_of(phi), bin_of(psi)]
    assert table.shape == (BINS, BINS)
    assert 0.98 <= (regions == FAVOURED).mean() < 0.99
    assert 0.998 <= (regions != OUTLIER).mean() <= 1
    assert set(np.unique(table)) == {OUTLIER, ALLOWED, FAVOURED}


def test_natural_residues_are_in_the_shipped_regions(backbones):
    phi, psi = general_angles(backbones)
    regions = classify(phi, psi)
    assert 0.5 * backbones.lengths.sum() < len(phi) < 0.95 * backbones.lengths.sum()
    assert np.isfinite(phi).all()
    assert np.isfinite(psi).all()
    assert 0.95 < (regions == FAVOURED).mean() <= 1
    assert (regions != OUTLIER).mean() > 0.99
