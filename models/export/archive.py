"""Ensembles to one zip: a file per molecule and a manifest."""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

from models.export.formats import MoleculeFormat
from models.export.text import one_line
from models.structure import Ensemble

_EPOCH = (1980, 1, 1, 0, 0, 0)  # fixed, so that the same seed gives the same bytes


def to_zip(ensembles: Sequence[Ensemble], model: str, file_format: MoleculeFormat, manifest: dict[str, Any]) -> bytes:
    """Zip with one file per molecule that has conformers, and `manifest.json`.

    Args:
        ensembles: In request order.
        model: Name of the model.
        file_format: Of the files.
        manifest: Becomes `manifest.json`; the file of each molecule is added under `files`.

    Returns:
        The archive.
    """
    buffer = io.BytesIO()
    files: list[dict[str, Any]] = []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, ensemble in enumerate(ensembles):
            name = None
            if ensemble.conformers:
                name = f"{number:04d}_{file_stem(ensemble.molecule.id)}.{file_format.extension}"
                write_member(archive, name, file_format.write([ensemble], model))
            files.append({"id": ensemble.molecule.id, "file": name, "conformers": len(ensemble.conformers)})
        write_member(archive, "manifest.json", json.dumps({**manifest, "files": files}, indent=2))
    return buffer.getvalue()


def file_stem(text: str, fallback: str = "molecule") -> str:
    """Part of a file name that is safe on every system and cannot leave its folder."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in one_line(text))[:40] or fallback


def write_member(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    """Add a file whose bytes in the archive depend on its content alone."""
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
