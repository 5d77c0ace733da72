"""The one table of file formats of molecules: name, media type, extension, writer."""

from collections.abc import Callable, Sequence

from models.export.format import Format
from models.export.molecule import to_sdf, to_xyz
from models.structure import Ensemble

MoleculeFormat = Format[Callable[[Sequence[Ensemble], str], str]]


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
        MoleculeFormat("sdf", "chemical/x-mdl-sdfile", "sdf", _write_sdf),
        MoleculeFormat("pdb", "chemical/x-pdb", "pdb", _write_pdb),
        MoleculeFormat("xyz", "chemical/x-xyz", "xyz", _write_xyz),
        MoleculeFormat("mmcif", "chemical/x-mmcif", "cif", _write_mmcif),
    )
}
