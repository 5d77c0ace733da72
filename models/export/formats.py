"""The one table of file formats: name, media type, extension, writer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.errors import FormatError
from models.export.molecule import to_sdf, to_xyz
from models.structure import Ensemble


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        name: As it is asked for.
        media_type: As it is negotiated over HTTP.
        extension: Of files, without the dot.
        write: Ensembles and model name to the text of one file.
    """

    name: str
    media_type: str
    extension: str
    write: Callable[[Sequence[Ensemble], str], str]


def _write_sdf(ensembles: Sequence[Ensemble], model: str) -> str:
    return "".join(to_sdf(ensemble, model) for ensemble in ensembles)


def _write_xyz(ensembles: Sequence[Ensemble], model: str) -> str:
    return "".join(to_xyz(ensemble, model) for ensemble in ensembles)


def _write_pdb(ensembles: Sequence[Ensemble], model: str) -> str:
    from models.export.macromolecular import to_pdb  # biotite takes a second to import; most requests want SDF

    return to_pdb(ensembles, model)


def _write_mmcif(ensembles: Sequence[Ensemble], model: str) -> str:
    from models.export.macromolecular import to_mmcif

    return to_mmcif(ensembles, model)


FORMATS = {
    f.name: f
    for f in (
        Format("sdf", "chemical/x-mdl-sdfile", "sdf", _write_sdf),
        Format("pdb", "chemical/x-pdb", "pdb", _write_pdb),
        Format("xyz", "chemical/x-xyz", "xyz", _write_xyz),
        Format("mmcif", "chemical/x-mmcif", "cif", _write_mmcif),
    )
}


def find_format(name: str) -> Format:
    """Format by name.

    Raises:
        FormatError: There is no such format.
    """
    if name not in FORMATS:
        raise FormatError(f"unknown format {name!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[name]
