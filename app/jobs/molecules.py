"""One molecule of a job: read, sampled, finished."""

from __future__ import annotations

from app.engine.ticket import Ticket
from app.intake.order import Order
from app.intake.reading import Refusal
from app.jobs.maker import Maker, NotNowError, Task, together
from models.structure import Ensemble, Molecule


async def make_molecule(order: Order, place: int, task: Task, maker: Maker) -> list[Ensemble] | Refusal:
    """The ensemble of each stereoisomer of one molecule, or why there is none.

    Raises:
        NotNowError: It was given back undone.
        EngineError: Likewise.
    """

    async def sample(molecule: Molecule) -> Ensemble:
        ticket = Ticket([molecule], [order.count], [order.seed], order.options)
        ensemble: Ensemble = await maker.sample(ticket, task)
        if any(problem.reason == "stopped" for problem in ensemble.problems):
            raise NotNowError("the sampler ended")
        return ensemble

    read = await maker.read(order.readings[place], task)
    if isinstance(read, Refusal):
        return read
    return await maker.finish(await together(sample(molecule) for molecule in read), order.finish)
