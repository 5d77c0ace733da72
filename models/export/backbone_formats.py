"""The one table of file formats of backbones: name, media type, extension, writer."""

from __future__ import annotations

from collections.abc import Callable

from models.export.backbones import to_bcif, to_mmcif, to_pdb
from models.export.format import Format

BackboneFormat = Format[Callable[..., bytes]]  # writes as `to_pdb`, but the bytes of the file


def _encoded(write: Callable[..., str]) -> Callable[..., bytes]:
    return lambda *arguments, **options: write(*arguments, **options).encode()


BACKBONE_FORMATS = {
    f.name: f
    for f in (
        BackboneFormat("pdb", "chemical/x-pdb", "pdb", _encoded(to_pdb)),
        BackboneFormat("mmcif", "chemical/x-mmcif", "cif", _encoded(to_mmcif)),
        BackboneFormat("bcif", "application/vnd.binarycif", "bcif", to_bcif),
    )
}
