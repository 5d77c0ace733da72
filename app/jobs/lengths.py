"""One length of a job of backbones: all its samples."""

from __future__ import annotations

from dataclasses import replace

from app.engine.ticket import BACKBONES, Ticket
from app.intake.backbone_order import BackboneOrder
from app.jobs.maker import Maker, NotNowError, Task
from models.backbone import BackboneEnsemble


async def make_length(order: BackboneOrder, place: int, task: Task, maker: Maker) -> list[BackboneEnsemble]:
    """The backbones of one length.

    Raises:
        NotNowError: It was given back undone.
        EngineError: Likewise.
    """
    blueprint, seed = order.blueprint(place), order.seeds[place]
    ticket = Ticket([blueprint], [order.count], [seed], order.options, model=BACKBONES)
    ensemble: BackboneEnsemble = await maker.sample(ticket, task)
    if ensemble.num_stopped:
        raise NotNowError("the sampler ended")
    return [replace(ensemble, index=place)]
