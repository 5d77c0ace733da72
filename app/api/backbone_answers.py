"""Sampled backbones to the bytes of an answer: JSON, one file, or a zip."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.api.answers import Answer, attach, describe, stop_clock, to_json
from app.api.negotiation import JSON, ZIP, Wanted
from app.errors import Problem
from app.intake.backbone_order import BackboneOrder
from app.telemetry.metrics import Metrics
from models.backbone import Backbone, BackboneEnsemble
from models.export.backbone_archive import to_backbone_zip
from models.export.backbone_formats import BACKBONE_FORMATS, BackboneFormat
from models.export.backbones import to_records

_NOT_THE_INPUT = ("stopped", "sampler_lost", "out_of_memory")


def write_backbones(
    order: BackboneOrder,
    wanted: Wanted[BackboneFormat],
    ensembles: Sequence[BackboneEnsemble],
    timing: dict[str, float],
    began: float | None = None,
) -> Answer:
    """The answer in the wanted form; takes a while for many backbones, so call it in a thread.

    Args:
        order: What was asked for.
        wanted: Media type.
        ensembles: Of each length, in order; of a job that is not done, of some.
        timing: Seconds of each part.
        began: When the request came, on the monotonic clock, s: the times of writing and of all are then added.

    Raises:
        Problem: 422 or 503 when there is no structure to put into a file; it holds what became of each length.
    """
    if wanted.media_type == JSON:
        with stop_clock(timing, began):
            results = _records(order, ensembles)
        return to_json(order.head, results, timing)
    returned = sum(ensemble.num_returned for ensemble in ensembles)
    if returned == 0:
        summary = [{**record, "num_requested": order.count} for record in to_records(ensembles, coordinates=False)]
        if all(ensemble.reason in _NOT_THE_INPUT for ensemble in ensembles):
            detail = "no backbone was finished in time; ask for less, or try again later"
            raise Problem(503, "unavailable", detail, {"Retry-After": "30"}, results=summary)
        detail = f"none of the lengths gave a backbone; {ensembles[0].id}: {ensembles[0].detail}"
        raise Problem(422, "invalid_backbone", detail, results=summary)
    incomplete = sum(ensemble.status != "ok" for ensemble in ensembles)
    headers = describe(order.model, order.seed, order.count * len(ensembles), returned, incomplete)
    if wanted.media_type == ZIP:
        content = to_backbone_zip(
            ensembles, order.model, BACKBONE_FORMATS[order.file_format], order.head, order.residue
        )
        return attach(content, ZIP, "backbones.zip", headers)
    assert wanted.file_format is not None
    content = wanted.file_format.write(ensembles, order.model, order.residue)
    return attach(content, wanted.media_type, f"backbones.{wanted.file_format.extension}", headers)


def count_backbones(metrics: Metrics, order: BackboneOrder, ensembles: Sequence[BackboneEnsemble]) -> None:
    """Put the backbones of one answer into the metrics."""
    for ensemble in ensembles:
        missing = order.count - ensemble.num_returned
        metrics.count_backbones(ensemble.num_returned, [(ensemble.reason or "stopped", missing)] if missing else [])


def _records(order: BackboneOrder, ensembles: Sequence[BackboneEnsemble]) -> list[dict[str, Any]]:
    """Entries of `results`."""
    records = to_records(ensembles, coordinates=order.file_format == "json")
    for record, ensemble in zip(records, ensembles, strict=True):
        record["num_requested"] = order.count
        for own, sample in zip(record["samples"], ensemble.samples, strict=True):
            own["structure"] = _structure(order, ensemble, sample, own)
    return records


def _structure(order: BackboneOrder, ensemble: BackboneEnsemble, sample: Backbone, record: dict[str, Any]) -> Any:
    if order.file_format == "json":
        return record.pop("coordinates")
    alone = replace(ensemble, samples=(sample,))
    content = BACKBONE_FORMATS[order.file_format].write([alone], order.model, order.residue)
    return b64encode(content).decode("ascii") if order.file_format == "bcif" else content.decode()
