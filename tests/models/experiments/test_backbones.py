import numpy as np
import pytest

from models.data.backbones import TEST, VALIDATION
from models.errors import DataError
from models.experiments.backbones import build_nature, to_page


def test_natural_chains_are_those_of_about_the_lengths(backbones):
    nature = build_nature(backbones, [94])
    wanted = (np.abs(backbones.lengths - 94) <= 16) & backbones.core & (backbones.split == VALIDATION)
    assert nature.validation.group.lengths.tolist() == backbones.lengths[wanted].tolist()
    assert len(nature.test.composition) == (backbones.split == TEST).sum()
    row = nature.describe(nature.validation)
    assert row["name"] == "validation chains" and row["to_validation"] is None


def test_lengths_without_natural_chains_are_refused(backbones):
    with pytest.raises(DataError, match="about 4000 residues"):
        build_nature(backbones, [4000])


def test_page_has_what_is_known_and_leaves_out_the_rest():
    record = {"command": ["shapespace", "x"], "date": "today", "rule": "A rule.", "samples": {"lengths": [64, 100]}}
    page = to_page("Title", record, ["| a |"])
    assert page.startswith("# Title\n\nCommand: `shapespace x`\n")
    assert "- samples: lengths 64 100\n" in page and "- model" not in page
    assert page.endswith("| a |\nA rule.\n")
