"""The kinds of jobs: what is stored of an order, what an item is, how it is made, and how what was made is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.intake.backbone_order import BackboneOrder
from app.intake.order import Order
from app.intake.reading import Refusal
from app.jobs.lengths import make_length
from app.jobs.maker import Maker, Task
from app.jobs.molecules import make_molecule
from models.export.backbone_packed import from_packed_backbones, to_packed_backbones
from models.export.packed import from_packed, to_packed

AnyOrder = Order | BackboneOrder
Made = Sequence[Any]  # of one item: `Ensemble` or `BackboneEnsemble`, by the kind


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        read_order: Plain JSON values, as `to_values` of an order makes them, to the order.
        make: Order, place of an item, its task and the maker, to the ensembles of the item, or why there are none.
        pack: Ensembles to bytes.
        unpack: And back.
    """

    read_order: Callable[[dict[str, Any]], AnyOrder]
    make: Callable[[Any, int, Task, Maker], Awaitable[Made | Refusal]]
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Made]


KINDS = {
    Order.kind: Kind(Order.from_values, make_molecule, to_packed, from_packed),
    BackboneOrder.kind: Kind(BackboneOrder.from_values, make_length, to_packed_backbones, from_packed_backbones),
}
