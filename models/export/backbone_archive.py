"""Backbones to one zip: a file for each sample, a table of their quality, and a manifest."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from models.backbone import BackboneEnsemble, BackboneReport
from models.export.archive import file_stem, write_member
from models.export.backbone_formats import BackboneFormat
from models.export.backbones import BFactors
from models.export.text import one_line

QUALITY, MANIFEST = "quality.csv", "manifest.json"
_COLUMNS = ("file", "id", "length", "seed", "attempts", "motif_rmsd_ang", *(f.name for f in fields(BackboneReport)))


def to_backbone_zip(
    ensembles: Sequence[BackboneEnsemble],
    model: str,
    file_format: BackboneFormat,
    manifest: dict[str, Any],
    residue: str = "ALA",
    b_factors: BFactors = None,
) -> bytes:
    """Zip with one file for each sample, `quality.csv` and `manifest.json`.

    Args:
        ensembles: In request order.
        model: Name of the model.
        file_format: Of the files.
        manifest: Becomes `manifest.json`; what became of each length is added under `lengths`.
        residue: Name of all residues.
        b_factors: What the B-factor column holds, [S, L] for each ensemble; 0 by default.

    Returns:
        The archive.

    Raises:
        FormatError: As of `models.export.backbones.to_pdb`.
    """
    buffer, table = io.BytesIO(), io.StringIO()
    rows = csv.DictWriter(table, _COLUMNS, lineterminator="\n")
    rows.writeheader()
    lengths: list[dict[str, Any]] = []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, ensemble in enumerate(ensembles):
            names = []
            for k, sample in enumerate(ensemble.samples):
                name = f"{place:04d}_{file_stem(ensemble.id, 'backbone')}_{k:04d}.{file_format.extension}"
                alone = replace(ensemble, samples=(sample,))
                b = None if b_factors is None else [b_factors[place][k : k + 1]]
                write_member(archive, name, file_format.write([alone], model, residue, b))
                rows.writerow({
                    "file": name, "id": one_line(ensemble.id), "length": ensemble.length, "seed": sample.seed,
                    "attempts": sample.attempts, "motif_rmsd_ang": sample.motif_rmsd_ang, **asdict(sample.quality),
                })  # fmt: skip
                names.append(name)
            about = {"status": ensemble.status, "reason": ensemble.reason, "detail": ensemble.detail}
            lengths.append({"id": ensemble.id, "length": ensemble.length, **about, "files": names})
        write_member(archive, QUALITY, table.getvalue())
        write_member(archive, MANIFEST, json.dumps({**manifest, "lengths": lengths}, indent=2))
    return buffer.getvalue()
