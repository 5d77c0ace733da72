"""A benchmark record small enough to be worked out by hand."""

from typing import Any

import pytest

from models.evaluation.baseline import EMBEDDED, RELAXED
from models.evaluation.page import build_benchmark_record


def molecule_row(recall: list, precision: list, failure: str | None = None, **counts: int) -> dict[str, Any]:
    """Scores of one molecule as a record keeps them."""
    structures = len(precision)
    return {
        "requested": 2 * len(recall),
        "samples": structures,
        "recall_ang": recall,
        "precision_ang": precision,
        "capped": False,
        "validity": {
            "structures": structures, "valid": structures, "faults": {}, "clashes": 0, "centres": 0,
            "centres_right": 0, "double_bonds": 0, "double_bonds_right": 0, "bond_deviation_ang": None,
            "angle_deviation_deg": None,
        },
        "failure": failure,
        "seconds": None,
        "counts": counts,
    }  # fmt: skip


def row(name: str, seconds: float, molecules: list, steps: int | None = None, **first: Any) -> dict[str, Any]:
    """One row of a set."""
    start = {"start": "etkdg", "start_time": 0.8} if "ETKDG," in name else {"start": "noise", "start_time": 0.0}
    drawn = {"asked": 6, "passed": 6, "stereo_asked": 0, "stereo_right": 0, "faults": {}, **first}
    return {
        "name": name,
        "date": f"2026-01-0{len(name) % 9 + 1}",
        "load_average": [0.1, 0.2, 0.3],
        "options": {"steps": steps, **start} if steps else None,
        "seconds": seconds,
        "cpu_seconds": 2 * seconds,
        "first_draw": drawn,
        "molecules": molecules,
    }


@pytest.fixture
def benchmark_record() -> dict[str, Any]:
    """Two molecules, with two references and one; the sampler from noise has no sample of the second."""
    good, near = molecule_row([0.2, 0.6], [0.2, 0.2, 0.6, 0.6]), molecule_row([0.4], [0.4, 0.4])
    rows = [
        row(EMBEDDED, 0.6, [good, near]),
        row(RELAXED, 1.2, [good, molecule_row([None], [], "no_mmff_parameters")], faults={"no_mmff_parameters": 2}),
        row("from noise, 5 steps", 3.0, [molecule_row([0.1, 0.1], [0.1] * 4), molecule_row([None], [], "clash")], 5,
            passed=4, stereo_asked=4, stereo_right=3, faults={"clash": 2}),
        row("from ETKDG, 5 steps", 1.8, [molecule_row([0.3, 0.5], [0.3] * 4), molecule_row([0.1], [0.1] * 2)], 5),
        row("from ETKDG, 10 steps", 2.4, [molecule_row([0.1, 0.3], [0.1] * 4), molecule_row([0.1], [0.1] * 2)], 10),
    ]  # fmt: skip
    one = {
        "title": "Small molecules",
        "data": {"file": "small.npz", "sha256": "abc", "molecules": 5},
        "thresholds_ang": [0.5, 0.15],
        "molecules": [{"smiles": "CCO", "atoms": 9, "references": 2}, {"smiles": "CO", "atoms": 6, "references": 1}],
        "rows": rows,
        "published": {
            "title": "Elsewhere", "titles": ["COV-R, %"], "rows": [["Theirs", "99.9"]], "note": "They say so.",
        },
    }  # fmt: skip
    about = {
        "date": "2026-02-01",
        "command": ["shapespace", "compare", "--title", "Small molecules"],
        "model": {"name": "tiny", "sha256": "fed"},
        "versions": {"shapespace": "0"},
        "machine": {"cpu": "a processor", "device": "cpu"},
        "settings": {"seed": 0},
    }
    return build_benchmark_record(about, [one])
