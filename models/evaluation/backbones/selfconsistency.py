"""Self-consistency: do the structures that a folding model predicts for designed sequences match the backbones?

Sequences and predictions are made elsewhere, for instance with ProteinMPNN and ESMFold; here they are compared.

Axes: L residues.  Coordinates in angstrom.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from models.errors import DataError
from models.evaluation.conformers import summarise
from models.evaluation.tables import number, plain, table
from models.geometry.alignment import rmsd

DESIGNABLE_ANG = 2.0
_SEPARATORS = "_-.#"  # between the name of a sample and what tells its predictions apart


@dataclass(frozen=True)
class Consistency:
    """One sample.

    Attributes:
        name: Of the sample.
        length: Residues.
        predictions: How many there are.
        best: Name of the nearest one.
        rmsd_ang: Distance of its CA after superposition, Å.
    """

    name: str
    length: int
    predictions: int
    best: str
    rmsd_ang: float


def pair_names(samples: Iterable[str], predictions: Iterable[str]) -> dict[str, list[str]]:
    """Predictions of each sample: of the same name, or with the name, a separator and more.

    A prediction that fits several samples belongs to the one with the longest name.

    Raises:
        DataError: A prediction belongs to no sample.
    """
    names = sorted(samples, key=len, reverse=True)
    pairs: dict[str, list[str]] = {name: [] for name in names[::-1]}
    for prediction in predictions:
        owner = next((name for name in names if _fits(prediction, name)), None)
        if owner is None:
            raise DataError(
                f"prediction {prediction!r} belongs to no sample; name each like its sample, such as {names[-1]}.pdb, "
                f"or with something behind the name, such as {names[-1]}_1.pdb"
            )
        pairs[owner].append(prediction)
    return pairs


def compare_predictions(
    samples: Mapping[str, np.ndarray], predictions: Mapping[str, np.ndarray]
) -> tuple[list[Consistency], list[str]]:
    """The nearest prediction of each sample.

    Args:
        samples: CA by name, Å.  [L, 1, 3] each
        predictions: CA by name, Å.  [L, 1, 3] each

    Returns:
        Samples that have predictions.
        Names of those that have none.

    Raises:
        DataError: Names or lengths do not fit together.
    """
    found, missing = [], []
    for name, theirs in pair_names(samples, predictions).items():
        if not theirs:
            missing.append(name)
            continue
        x = samples[name]
        wrong = [other for other in theirs if len(predictions[other]) != len(x)]
        if wrong:
            raise DataError(
                f"prediction {wrong[0]!r} has {len(predictions[wrong[0]])} residues and its sample {name!r} {len(x)}; "
                "both must be the same chain"
            )
        distances = _distances(x[:, 0], np.stack([predictions[other][:, 0] for other in theirs]))
        best = int(np.argmin(distances))
        found.append(Consistency(name, len(x), len(theirs), theirs[best], float(distances[best])))
    return found, missing


def consistency_record(found: list[Consistency], missing: list[str], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, as plain JSON values; `summary` over all lengths and over each."""
    lengths = sorted({one.length for one in found})
    groups = [("all", found), *((str(length), [one for one in found if one.length == length]) for length in lengths)]
    summary = []
    for name, group in groups[: 1 if len(lengths) < 2 else None]:
        distances = [one.rmsd_ang for one in group]
        below, every = summarise([d < DESIGNABLE_ANG for d in distances]), summarise(distances)
        summary.append(
            {
                "length": name,
                "samples": len(group),
                "below": asdict(below) if below else None,
                "rmsd_ang": asdict(every) if every else None,
            }
        )
    rows = [asdict(one) for one in found]
    return plain({**about, "threshold_ang": DESIGNABLE_ANG, "summary": summary, "missing": missing, "samples": rows})


def consistency_to_markdown(record: Mapping[str, Any]) -> str:
    """The whole page."""
    cells = []
    for row in record["summary"]:
        below, distance = row["below"], row["rmsd_ang"]
        share = "-" if below is None else " ".join(
            (number(below["mean"], 100, 1), f"[{number(below['low'], 100, 1)}, {number(below['high'], 100, 1)}]")
        )  # fmt: skip
        cells.append(
            [str(row["samples"]), share]
            + [number(None if distance is None else distance[key], 1, 2) for key in ("mean", "median")]
        )
    titles = ["samples", f"scRMSD below {record['threshold_ang']:g} Å, %", "mean, Å", "median, Å"]
    lines = ["# Self-consistency", "", *table(titles, cells, [f"length {row['length']}" for row in record["summary"]])]
    lines += [
        "scRMSD: CA after superposition, the nearest of each sample's predictions; in brackets the 95 % bootstrap "
        "interval. Samples without a prediction are left out.",
        "",
    ]
    if record["missing"]:
        lines += [f"Without a prediction: {len(record['missing'])} ({', '.join(record['missing'][:10])}).", ""]
    return "\n".join(lines)


def _fits(prediction: str, name: str) -> bool:
    return prediction == name or prediction.startswith(tuple(name + mark for mark in _SEPARATORS))


def _distances(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[L, 3], [P, L, 3] -> [P]"""
    target = torch.from_numpy(x.astype(np.float64)).expand(len(others), -1, -1)
    mask = torch.ones(target.shape[:2], dtype=torch.bool)
    return rmsd(torch.from_numpy(others.astype(np.float64)), target, mask).numpy()
