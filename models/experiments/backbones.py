"""What experiments on backbones share: the natural chains that their rows stand beside, and their page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.data.backbones import TEST, VALIDATION, BackboneSet
from models.errors import DataError
from models.evaluation.backbones.chains import natives
from models.evaluation.backbones.histograms import Counts, count
from models.evaluation.backbones.rows import NATIVES, Measured, describe, measure
from models.evaluation.tables import text

_NEAR = 16  # residues: validation chains of lengths so near to a sampled one are compared with
_HEAD = ("model", "data", "samples", "settings", "machine", "versions")


@dataclass(frozen=True)
class Nature:
    """Natural chains to compare with.

    Attributes:
        validation: Validation chains of about the sampled lengths.
        test: Counts of the test chains, of any length.
    """

    validation: Measured
    test: Counts

    def describe(self, row: Measured) -> dict[str, Any]:
        """What a row is like, beside these chains; see `models.evaluation.backbones.rows.describe`."""
        return describe(row, self.validation, self.test, itself=row is self.validation)


def build_nature(chains: BackboneSet, lengths: Sequence[int]) -> Nature:
    """The natural chains of a set that are compared with samples of these lengths.

    Raises:
        DataError: The set has no validation chains near these lengths.
    """
    near = np.abs(chains.lengths[:, None] - np.array(lengths)).min(1) <= _NEAR
    wanted = near & chains.core & (chains.split == VALIDATION)
    if not wanted.any():
        raise DataError(f"the set has no validation chains of about {', '.join(map(str, lengths))} residues")
    test = count(natives("test chains", chains, chains.split == TEST))
    return Nature(measure(natives(NATIVES, chains, wanted)), test)


def to_page(title: str, record: Mapping[str, Any], lines: Sequence[str]) -> str:
    """A page: how the record was made, what is in it, and the rule it was made by."""
    head = [f"# {title}", "", f"Command: `{' '.join(record['command'])}`", ""]
    for key in _HEAD:
        if record.get(key):
            head.append(f"- {key}: " + ", ".join(f"{name} {text(value)}" for name, value in record[key].items()))
    return "\n".join([*head, f"- date: {record['date']}", "", *lines, record["rule"], ""])
