"""Requests for backbones to orders: what is over a limit or does not fit is refused, what is left open is decided."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.api.backbone_schemas import BackbonesRequest
from app.api.negotiation import Wanted
from app.api.orders import check_wanted
from app.engine.engine import Engine
from app.engine.ticket import BACKBONES
from app.errors import Problem, invalid
from app.intake.backbone_order import BackboneOrder
from app.settings import Settings
from models.data.blueprints import Wish, name_lengths
from models.data.motif import Template
from models.export.backbone_formats import BACKBONE_FORMATS
from models.export.backbones import check_pdb, check_pdb_place
from models.options import STRUCTURE, SampleOptions, build_chain_options
from models.weights import Model

_USUAL_STEPS = 100


def check_limits(body: BackbonesRequest, settings: Settings, wanted: Wanted) -> None:
    """Refuse what is over the limits of this service, or does not fit together.

    Raises:
        Problem: 422 naming the field, the value and what is allowed.
    """
    number, each = len(body.lengths or [0]), body.num_samples
    if number > settings.max_lengths:
        raise invalid("lengths", number, f"{number} lengths are too many", f"1 to {settings.max_lengths}")
    if each > settings.max_samples:
        raise invalid("num_samples", each, "that is too many", f"1 to {settings.max_samples}")
    if body.ids is not None:
        if len(body.ids) != number:
            raise invalid("ids", len(body.ids), f"{len(body.ids)} ids for {number} lengths", "one for each, or none")
        if twice := [name for name, times in Counter(body.ids).items() if times > 1]:
            raise invalid("ids", twice[0], f"the id {twice[0]!r} occurs twice", "ids that differ, or none")
    check_wanted(body.format, wanted, BACKBONE_FORMATS)


def work_of(lengths: Sequence[int], count: int, options: SampleOptions) -> float:
    """Work of a request, in residues with the usual number of steps."""
    return sum(lengths) * count * options.calls / _USUAL_STEPS


def check_work(body: BackbonesRequest, lengths: Sequence[int], options: SampleOptions, settings: Settings) -> None:
    """Refuse more work than one request may be.

    Raises:
        Problem: 422.
    """
    work = work_of(lengths, body.num_samples, options)
    if work > settings.max_residues:
        raise invalid(
            "num_samples",
            body.num_samples,
            f"{work:,.0f} residues in all (lengths x samples x steps / {_USUAL_STEPS}, twice for heun and for "
            "guidance) are too many for one request",
            f"at most {settings.max_residues:,} in all; send several requests, each with a seed of its own",
        )


def find_model(engine: Engine, asked: str | None) -> Model:
    """The model of backbones that is served.

    Raises:
        Problem: 404 when there is none, 422 when another was asked for.
    """
    if BACKBONES not in engine.served:
        raise Problem(
            404,
            "not_served",
            "no model of backbones is served here; register one in the weights folder and name it in "
            "SHAPESPACE_BACKBONE_MODEL. GET /v1/models says what is served",
        )
    model = engine.served[BACKBONES].model
    if asked is not None and asked != model.name:
        raise invalid("model", asked, "this model is not served here", model.name)
    return model


def read_options(body: BackbonesRequest, settings: Settings) -> SampleOptions:
    """How to sample.

    Raises:
        SamplerError: The options do not fit together.
        Problem: 422 for guidance without a wish.
    """
    if body.sampler.guidance != 1 and Wish(**body.condition.model_dump()).empty:
        words = "nothing is asked for that it could weigh"
        raise invalid("sampler.guidance", body.sampler.guidance, words, "1, or a wish in condition")
    begin: dict[str, Any] = {}
    if body.start is not None and body.start.t:
        begin = {"start": STRUCTURE, "start_time": body.start.t}
    held = body.fixed is not None
    return build_chain_options(**body.sampler.model_dump(), **begin, held=held, half=settings.half)


def read_lengths(body: BackbonesRequest, template: Template | None) -> list[int]:
    """The lengths that are asked for.

    Raises:
        Problem: 422 if they are not that of the structure.
    """
    if template is None:
        return body.lengths or []
    for place, length in enumerate(body.lengths or []):
        if template.free and length < len(template):
            words = f"fixed residues reach to place {len(template)}"
            raise invalid(f"lengths[{place}]", length, words, f"{len(template)} or more, or other places in at")
        if length != len(template) and not template.free:
            words = template.stretch
            raise invalid(f"lengths[{place}]", length, words, f"{len(template)}, or no lengths")
    return body.lengths or [len(template)]


def build_order(
    body: BackbonesRequest, options: SampleOptions, model: Model, wanted: Wanted, template: Template | None = None
) -> BackboneOrder:
    """The order for a request that is within the limits.

    Raises:
        Problem: 422 for a length outside the range of the model.
        ModelError: A wish cannot be, the sampler does not fit the model, or a file cannot hold what is asked for.
    """
    model.check_sampler(options.kind)
    lengths, wish = read_lengths(body, template), Wish(**body.condition.model_dump())
    least, most = model.lengths
    for place, length in enumerate(lengths):
        if not least <= length <= most:
            field, words = f"lengths[{place}]", "the model was not trained on chains of that length"
            if template is not None and not body.lengths:
                field, words = "start.structure", f"{template.stretch}; {words}"
            raise invalid(field, length, words, f"{least} to {most}")
        if wish.secondary is not None and len(wish.secondary) != length:
            words = f"it has {len(wish.secondary)} letters for {length} residues"
            raise invalid("condition.secondary", wish.secondary, words, f"{length} letters, one for each residue")
    order = BackboneOrder(
        model=model.name,
        names=tuple(body.ids or name_lengths(lengths)),
        lengths=tuple(lengths),
        count=body.num_samples,
        seed=secrets.randbelow(2**32) if body.seed is None else body.seed,
        options=options,
        wish=wish,
        residue=body.residue,
        file_format=body.format,
        keep_failed=body.keep_failed,
        idealise=body.idealise,
        template=template,
    )
    if wanted.file_format is BACKBONE_FORMATS["pdb"]:
        check_pdb([length for length in lengths for _ in range(body.num_samples)])
    written = wanted.file_format or BACKBONE_FORMATS.get(body.format)
    if template is not None and written is BACKBONE_FORMATS["pdb"]:
        check_pdb_place(template.laid_onto)
    order.blueprint(lengths.index(min(lengths)))  # what can be of the shortest can be of all
    return order
