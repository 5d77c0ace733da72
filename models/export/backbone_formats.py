"""The one table of file formats of backbones: name, media type, extension, writer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.errors import FormatError
from models.export.backbones import to_bcif, to_mmcif, to_pdb


@dataclass(frozen=True)
class BackboneFormat:
    """One file format of backbones.

    Attributes:
        name: As it is asked for.
        media_type: As it is negotiated over HTTP.
        extension: Of files, without the dot.
        write: As `to_pdb`, but to the bytes of the file.
    """

    name: str
    media_type: str
    extension: str
    write: Callable[..., bytes]


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


def find_backbone_format(name: str) -> BackboneFormat:
    """Format by name.

    Raises:
        FormatError: There is no such format.
    """
    if name not in BACKBONE_FORMATS:
        raise FormatError(f"unknown format {name!r}; allowed: {', '.join(BACKBONE_FORMATS)}")
    return BACKBONE_FORMATS[name]
