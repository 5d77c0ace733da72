"""Ensembles and refusals to the records of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.intake.order import Outcome
from app.intake.reading import Refusal
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import note
from models.export.formats import MoleculeFormat
from models.export.molecule import to_summary, to_values
from models.structure import Ensemble


def to_record(outcome: Outcome, file_format: MoleculeFormat | None, model: str) -> dict[str, Any]:
    """One entry of `results`.

    Args:
        outcome: What became of the molecule.
        file_format: Of `structure`; None gives plain JSON values.
        model: Name of the model.
    """
    answer = outcome.answer
    if isinstance(answer, Refusal):
        return {
            "id": outcome.id,
            "status": "failed",
            "smiles": None,
            "num_requested": outcome.requested,
            "num_returned": 0,
            "num_pruned": 0,
            "notes": [],
            "problems": [{"reason": answer.reason, "detail": answer.detail, "count": outcome.requested}],
            "finish": None,
            "conformers": [],
            "structure": None,
        }
    structure = None
    if answer.conformers:
        structure = file_format.write([answer], model) if file_format else to_values(answer)
    return {**to_summary(answer), "structure": structure}


def count(metrics: Metrics, outcomes: Sequence[Outcome], seconds: Mapping[str, float]) -> None:
    """Put one answer into the metrics.

    Args:
        metrics: Of this application.
        outcomes: What became of its molecules.
        seconds: Time of each part of the work.
    """
    count_time(metrics, seconds)
    for outcome in outcomes:
        answer = outcome.answer
        if isinstance(answer, Refusal):
            metrics.count_molecule("failed", 0, [(answer.reason, outcome.requested)])
        else:
            missing = [(problem.reason, problem.count) for problem in answer.problems]
            metrics.count_molecule(answer.status, outcome.returned, missing)


def count_time(metrics: Metrics, seconds: Mapping[str, float]) -> None:
    """Put the time of each part of the work into the metrics and into the trace."""
    metrics.count_stages(seconds)
    note({f"{stage}_s": value for stage, value in seconds.items()})


def ensembles(outcomes: Sequence[Outcome]) -> list[Ensemble]:
    """Those that can be written to a file."""
    return [o.answer for o in outcomes if isinstance(o.answer, Ensemble) and o.answer.conformers]
