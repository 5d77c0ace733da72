"""Requests for backbones to orders: what is over a limit or does not fit is refused, what is left open is decided."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.api.backbone_schemas import BackbonesRequest
from app.api.negotiation import Wanted
from app.api.orders import check_wanted
from app.engine.engine import Engine
from app.errors import Problem, invalid
from app.settings import Settings
from models.blueprint import Blueprint
from models.data.blueprints import Wish, build_blueprint, name_lengths
from models.data.motif import Template
from models.draws import spread_seeds
from models.export.backbone_formats import BACKBONE_FORMATS
from models.options import STRUCTURE, SampleOptions, build_chain_options
from models.weights import Model

BACKBONES = "backbones"  # name of their model in the engine
_USUAL_STEPS = 100


@dataclass(frozen=True)
class BackboneOrder:
    """A request that can be carried out, with nothing left open.

    Attributes:
        model: Name of the model.
        blueprints: One for each length.
        seeds: First seed of each.
        count: Backbones of each.
        seed: Of the whole request.
        options: How to sample.
        residue: Name of all residues in files.
        file_format: Of structures inside an answer; see `models.export.backbone_formats`, or `json`.
        template: What was read of the structure that paths begin at, or that residues are taken from.
    """

    model: str
    blueprints: tuple[Blueprint, ...]
    seeds: tuple[int, ...]
    count: int
    seed: int
    options: SampleOptions
    residue: str
    file_format: str
    template: Template | None = None

    @property
    def requested(self) -> int:
        """Backbones in all."""
        return self.count * len(self.blueprints)

    @property
    def head(self) -> dict[str, Any]:
        """What an answer says of the whole request, plain JSON values."""
        return {
            "model": self.model,
            "seed": self.seed,
            "sampling": self.options.to_chain_values(),
            "format": self.file_format,
            "residue": self.residue,
            "template": self.template and self.template.to_values(),
        }


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


def check_work(body: BackbonesRequest, lengths: Sequence[int], settings: Settings) -> None:
    """Refuse more work than one request may be; there are no jobs of backbones that could take it.

    Raises:
        Problem: 422.
    """
    passes = 2 if body.sampler.kind == "heun" else 1
    work = sum(lengths) * body.num_samples * body.sampler.steps * passes / _USUAL_STEPS
    if work > settings.max_residues:
        raise invalid(
            "num_samples",
            body.num_samples,
            f"{work:,.0f} residues in all (lengths x samples x steps / {_USUAL_STEPS}, twice for heun) are too many "
            "for one request, and there are no jobs of backbones",
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
    """
    begin: dict[str, Any] = {}
    if body.start is not None and body.start.t:
        begin = {"start": STRUCTURE, "start_time": body.start.t}
    return build_chain_options(**body.sampler.model_dump(), **begin, half=settings.half)


def read_lengths(body: BackbonesRequest, template: Template | None) -> list[int]:
    """The lengths that are asked for.

    Raises:
        Problem: 422 if they are not that of the structure.
    """
    if template is None:
        return body.lengths or []
    for place, length in enumerate(body.lengths or []):
        if length != len(template):
            words = f"start.structure has {len(template)} residues, {template.first} to {template.last}"
            raise invalid(f"lengths[{place}]", length, words, f"{len(template)}, or no lengths")
    return body.lengths or [len(template)]


def build_order(
    body: BackbonesRequest, options: SampleOptions, model: Model, template: Template | None = None
) -> BackboneOrder:
    """The order for a request that is within the limits.

    Raises:
        Problem: 422 for a length outside the range of the model.
        ModelError: A wish cannot be, or the sampler does not fit the model.
    """
    model.check_sampler(options.kind)
    lengths, wish = read_lengths(body, template), Wish(**body.condition.model_dump())
    least, most = model.lengths
    for place, length in enumerate(lengths):
        if not least <= length <= most:
            field = f"lengths[{place}]" if body.lengths else "start.structure"
            raise invalid(field, length, "the model was not trained on chains of that length", f"{least} to {most}")
        if wish.secondary is not None and len(wish.secondary) != length:
            words = f"it has {len(wish.secondary)} letters for {length} residues"
            raise invalid("condition.secondary", wish.secondary, words, f"{length} letters, one for each residue")
    seed = secrets.randbelow(2**32) if body.seed is None else body.seed
    names = body.ids or name_lengths(lengths)
    start = template.coordinates if template is not None and options.start == STRUCTURE else None
    fixed, motif = (template.fixed, template.coordinates) if template is not None else (None, None)
    blueprints = tuple(
        build_blueprint(name, length, wish, start, fixed, motif, body.keep_failed, body.idealise)
        for name, length in zip(names, lengths, strict=True)
    )
    seeds = tuple(spread_seeds(lengths, seed, body.num_samples))
    return BackboneOrder(
        model.name, blueprints, seeds, body.num_samples, seed, options, body.residue, body.format, template
    )
