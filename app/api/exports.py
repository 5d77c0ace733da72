"""What jobs of each kind have made, as answers: the same as those of requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.api.answers import Answer, write_answer
from app.api.backbone_answers import count_backbones, write_backbones
from app.api.negotiation import BACKBONE_OFFERS, OFFERS, Wanted
from app.api.results import count
from app.intake.backbone_order import BackboneOrder
from app.intake.order import Order, Outcome
from app.intake.reading import Refusal
from app.jobs.kinds import AnyOrder, Made
from app.telemetry.metrics import Metrics
from models.backbone import BackboneEnsemble
from models.export.backbone_formats import BACKBONE_FORMATS
from models.export.formats import FORMATS

Item = tuple[int, Made | Refusal]  # its place, and what became of it


@dataclass(frozen=True)
class Export:
    """Answers of one kind.

    Attributes:
        offers: Media types that can be made.
        formats: Of files.
        stages: Parts of the work that an answer in JSON tells the seconds of, beside those of every kind.
        write: Order, media type, items and seconds of each part to the answer, as of `write_answer`.
        count: Puts items into the metrics.
    """

    offers: Sequence[Wanted[Any]]
    formats: Iterable[str]
    stages: Sequence[str]
    write: Callable[[Any, Wanted[Any], Sequence[Item], dict[str, float]], Answer]
    count: Callable[[Metrics, Any, Sequence[Item]], None]


def count_made(metrics: Metrics, order: AnyOrder, place: int, answer: Made | Refusal) -> None:
    """Put one item of a job into the metrics."""
    EXPORTS[order.kind].count(metrics, order, [(place, answer)])


def _outcomes(order: Order, items: Sequence[Item]) -> list[Outcome]:
    return [
        Outcome(order.readings[place].name, order.count, each)
        for place, answer in items
        for each in ([answer] if isinstance(answer, Refusal) else answer)
    ]


def _ensembles(order: BackboneOrder, items: Sequence[Item]) -> list[BackboneEnsemble]:
    """One for each item; without samples for those that were refused."""
    ensembles: list[BackboneEnsemble] = []
    for place, answer in items:
        if isinstance(answer, Refusal):
            name, length = order.names[place], order.lengths[place]
            ensembles.append(BackboneEnsemble(place, name, length, (), answer.reason, answer.detail))
        else:
            ensembles.extend(answer)
    return ensembles


EXPORTS = {
    Order.kind: Export(
        OFFERS,
        FORMATS,
        ("finish",),
        lambda order, wanted, items, timing: write_answer(order, wanted, _outcomes(order, items), timing),
        lambda metrics, order, items: count(metrics, _outcomes(order, items), {}),
    ),
    BackboneOrder.kind: Export(
        BACKBONE_OFFERS,
        BACKBONE_FORMATS,
        (),
        lambda order, wanted, items, timing: write_backbones(order, wanted, _ensembles(order, items), timing),
        lambda metrics, order, items: count_backbones(metrics, order, _ensembles(order, items)),
    ),
}
