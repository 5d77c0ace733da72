"""Requests to orders: what is over a limit or does not fit is refused, what is left open is decided."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from app.api.negotiation import ZIP, Wanted
from app.api.schemas import ConformersRequest
from app.errors import invalid
from app.intake.order import Order
from app.intake.reading import Reading
from app.settings import Settings
from models.export.formats import FORMATS
from models.export.text import one_line
from models.options import SampleOptions, build_options
from models.weights import Model


def check_limits(body: ConformersRequest, settings: Settings, wanted: Wanted) -> None:
    """Refuse what is over the limits of this service, or does not fit together.

    Raises:
        Problem: 422 naming the field, the value and what is allowed.
    """
    count, each = len(body.molecules), body.num_conformers
    if count > settings.max_molecules:
        raise invalid("molecules", count, f"{count} molecules are too many", f"1 to {settings.max_molecules}")
    if each > settings.max_conformers:
        raise invalid("num_conformers", each, "that is too many", f"1 to {settings.max_conformers}")
    total = count * each * (body.max_stereoisomers if body.stereo == "enumerate" else 1)
    if total > settings.max_total_conformers:
        raise invalid(
            "num_conformers",
            each,
            f"{total} conformers in all (molecules x conformers x stereoisomers) are too many for one request",
            f"at most {settings.max_total_conformers} in all; send several requests",
        )
    ids = [spec.id for spec in body.molecules if spec.id is not None]
    twice = next((k for k, name in enumerate(ids) if name in ids[:k]), None)
    if twice is not None:
        raise invalid("molecules", ids[twice], f"the id {ids[twice]!r} occurs twice", "ids that differ, or none")
    check_wanted(body.format, wanted)


def check_wanted(file_format: str, wanted: Wanted, formats: Iterable[str] = FORMATS) -> None:
    """Refuse a zip of structures that are not files; `formats` are those of files.

    Raises:
        Problem: 422.
    """
    if wanted.media_type == ZIP and file_format == "json":
        raise invalid("format", "json", "a zip holds structure files", ", ".join(formats))


def read_options(body: ConformersRequest, settings: Settings) -> SampleOptions:
    """How to sample.

    Raises:
        SamplerError: The options do not fit together.
    """
    return build_options(body.start, **body.sampler.model_dump(), half=settings.half)


def build_order(body: ConformersRequest, options: SampleOptions, model: Model) -> Order:
    """The order for a request that is within the limits.

    Raises:
        Problem: 422 for a model that is not served.
        SamplerError: The sampler does not fit the model.
    """
    if body.model is not None and body.model != model.name:
        raise invalid("model", body.model, "this model is not served here", model.name)
    model.check_sampler(options.kind)
    seed = secrets.randbelow(2**32) if body.seed is None else body.seed
    readings = tuple(_reading(body, place, name, seed) for place, name in enumerate(_names(body)))
    return Order(model.name, readings, body.num_conformers, seed, options, body.finish.options(), body.format)


def _reading(body: ConformersRequest, place: int, name: str, seed: int) -> Reading:
    spec = body.molecules[place]
    many = body.max_stereoisomers if body.stereo == "enumerate" else 1
    if spec.smiles is not None:
        return Reading("smiles", spec.smiles, name, seed, many)
    return Reading("molblock", spec.molblock or "", name, seed, many)


def _names(body: ConformersRequest) -> list[str]:
    """The id of each molecule, or the title of its mol block, or its place; a place never repeats an id."""
    taken = {spec.id for spec in body.molecules}
    names = []
    for place, spec in enumerate(body.molecules, start=1):
        title = one_line((spec.molblock or "").split("\n", 1)[0])
        name = spec.id or title or f"molecule-{place}"
        while spec.id is None and name in taken:
            name += "'"
        names.append(name)
    return names
