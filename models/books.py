"""The book that a subject's draws are entered in."""

from __future__ import annotations

from typing import Any

from models.backbone_draws import BackboneDraws
from models.blueprint import Blueprint
from models.conformer_draws import ConformerDraws
from models.draws import Draws
from models.structure import Molecule, Subject


def open_book(subject: Subject, count: int, seed: int, rounds: int, place: int = 0) -> Draws[Any, Any]:
    """See `Draws`."""
    if isinstance(subject, Blueprint):
        return BackboneDraws(subject, count, seed, rounds, place)
    if isinstance(subject, Molecule):
        return ConformerDraws(subject, count, seed, rounds, place)
    raise TypeError(f"cannot sample a {type(subject).__name__}")
