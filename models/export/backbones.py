"""Protein backbones to PDB, mmCIF, BinaryCIF and plain JSON values, through biotite.

Chain A, residues from 1, atoms N, CA, C and O, all of one residue type that the caller chooses, since a backbone has no
side chains.  Occupancy is 1.  The B-factor column holds 0, because no uncertainty is estimated, unless the caller gives
one number for each residue.  Coordinates have three decimals in every format.

Axes: S samples of one length, L residues.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from io import BytesIO, StringIO
from typing import Any

import numpy as np
from biotite.structure import AtomArrayStack
from biotite.structure.io.pdbx import (
    BinaryCIFBlock,
    BinaryCIFCategory,
    BinaryCIFFile,
    CIFBlock,
    CIFCategory,
    CIFFile,
    compress,
    set_structure,
)

from models.backbone import Backbone, BackboneEnsemble
from models.errors import FormatError
from models.export.polymer import check_residue, polymer_categories, sequence_records
from models.export.records import to_atom_records, to_remarks
from models.export.text import block_name, cif_text, one_line

ATOMS = ("N", "CA", "C", "O")
_DECIMALS = 3
_MOST_B, _MOST_MODELS = 1000.0, 9999  # what the columns of PDB hold
_FARTHEST_ANG = 850.0  # of a structure that samples lie around, for the same reason
_NO_B = "B factors are 0: no uncertainty is estimated"
_SOME_B = "B factors are one uncertainty for each residue"

BFactors = Sequence[np.ndarray] | None


def to_pdb(ensembles: Sequence[BackboneEnsemble], model: str, residue: str = "ALA", b_factors: BFactors = None) -> str:
    """PDB; a MODEL for each sample, and REMARK lines with the properties of each.

    Args:
        ensembles: In request order; those without samples leave no trace.
        model: Name of the model.
        residue: Name of all residues, `ALA` or `GLY`.
        b_factors: What the B-factor column holds, [S, L] for each ensemble; 0 by default.

    Returns:
        The file.

    Raises:
        FormatError: The residue is unknown, samples differ in length, or a number does not fit into the file.
    """
    remarks = [f"REMARK 250 {_NO_B if b_factors is None else _SOME_B}".upper()]
    models: list[str] = []
    check_pdb([ensemble.length for ensemble in ensembles for _ in ensemble.samples])
    for ensemble, stack, b in _stacks(ensembles, residue, b_factors):
        end = f"TER   {len(ATOMS) * ensemble.length + 1:5d}      {residue} A{ensemble.length:4d}"
        for sample, lines, column in zip(ensemble.samples, to_atom_records(stack, "mmcif or bcif"), b, strict=True):
            number = len(models) + 1
            remarks.extend(to_remarks(number, sample_properties(ensemble, sample, model)))
            atoms = (f"{line[:60]}{value:6.2f}{line[66:]}" for line, value in zip(lines, column, strict=True))
            models.append("\n".join((f"MODEL     {number:4d}", *atoms, end, "ENDMDL")))
    head = (
        f"HEADER    {'DE NOVO PROTEIN':<40}{'':9}   XXXX",
        "TITLE     SAMPLED PROTEIN BACKBONE",
        "EXPDTA    THEORETICAL MODEL",
        f"NUMMDL    {len(models):4d}",
    )
    lengths = {ensemble.length for ensemble in ensembles if ensemble.samples}
    sequence = sequence_records(residue, *lengths) if lengths else []
    return "\n".join((*head, *remarks, *sequence, *models, "END")) + "\n"


def check_pdb(lengths: Collection[int]) -> None:
    """Refuse samples that one PDB file cannot hold, by the length of each.

    Raises:
        FormatError: They are too many, or differ in length: models of a file have the same atoms.
    """
    if len(lengths) > _MOST_MODELS:
        raise FormatError(f"{len(lengths):,} models are more than the {_MOST_MODELS:,} of PDB; ask for mmcif or bcif")
    if len(set(lengths)) > 1:
        known = ", ".join(map(str, sorted(set(lengths))))
        raise FormatError(f"models of one PDB file have the same atoms, not {known} residues; ask for a zip, or mmcif")


def check_pdb_place(x: np.ndarray) -> None:
    """Refuse samples that would lie where PDB has no room for their coordinates, before they are made.

    Args:
        x: What they are laid onto, Å.  [..., 3]

    Raises:
        FormatError: The structure that they are laid onto is too far from the origin.
    """
    far = float(np.abs(x).max())
    if far > _FARTHEST_ANG:
        raise FormatError(
            f"the structure lies {far:.0f} Å from the origin, and samples are laid onto it; PDB has room up to 999 Å: "
            "ask for mmcif or bcif, or move the structure"
        )


def to_mmcif(
    ensembles: Sequence[BackboneEnsemble], model: str, residue: str = "ALA", b_factors: BFactors = None
) -> str:
    """MmCIF; a data block for each length, with the properties of each model in `_shapespace_backbone`.

    Arguments and errors as of `to_pdb`.
    """
    file = CIFFile()
    for ensemble, stack, b in _stacks(ensembles, residue, b_factors):
        columns = _categories(ensemble, model, residue, b_factors is not None)
        properties = columns["shapespace_backbone"]
        properties["id"] = [cif_text(value) for value in properties["id"]]
        block = CIFBlock({name: CIFCategory(values) for name, values in columns.items()})
        set_structure(block, stack)
        block["atom_site"]["B_iso_or_equiv"] = b.reshape(-1).round(2)
        file[block_name(ensemble.id, file, "backbone")] = block
    if not len(file):
        return ""
    buffer = StringIO()
    file.write(buffer)
    return buffer.getvalue()


def to_bcif(
    ensembles: Sequence[BackboneEnsemble], model: str, residue: str = "ALA", b_factors: BFactors = None
) -> bytes:
    """BinaryCIF with what the mmCIF has.

    Arguments and errors as of `to_pdb`.
    """
    file = BinaryCIFFile()
    for ensemble, stack, b in _stacks(ensembles, residue, b_factors):
        columns = _categories(ensemble, model, residue, b_factors is not None)
        block = BinaryCIFBlock({name: BinaryCIFCategory(values) for name, values in columns.items()})
        set_structure(block, stack)
        block["atom_site"]["B_iso_or_equiv"] = b.reshape(-1).round(2)
        file[block_name(ensemble.id, file, "backbone")] = block
    buffer = BytesIO()
    compress(file).write(buffer)
    return buffer.getvalue()


def to_records(ensembles: Sequence[BackboneEnsemble], coordinates: bool = True) -> list[dict[str, Any]]:
    """Plain JSON values of each length: what became of it, and each sample with its quality.

    Args:
        ensembles: In request order.
        coordinates: Whether samples have theirs, N, CA, C, O in Å.

    Returns:
        One record for each.
    """
    return [
        {
            "index": ensemble.index,
            "id": ensemble.id,
            "length": ensemble.length,
            "status": ensemble.status,
            "num_returned": len(ensemble.samples),
            "reason": ensemble.reason,
            "detail": ensemble.detail,
            "samples": [_record(sample, coordinates) for sample in ensemble.samples],
        }
        for ensemble in ensembles
    ]


def sample_properties(ensemble: BackboneEnsemble, sample: Backbone, model: str) -> dict[str, str]:
    """What is said about one sample in every file; the same keys for all samples of an ensemble."""
    values: dict[str, Any] = {
        "id": one_line(ensemble.id),
        "length": ensemble.length,
        "seed": sample.seed,
        "model": model,
        "attempts": sample.attempts,
    }
    if any(other.motif_rmsd_ang is not None for other in ensemble.samples):
        values["motif_rmsd_ang"] = sample.motif_rmsd_ang
    values |= asdict(sample.quality)
    return {key: _word(value) for key, value in values.items()}


def _word(value: str | float | bool | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _record(sample: Backbone, coordinates: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "seed": sample.seed,
        "attempts": sample.attempts,
        "motif_rmsd_ang": sample.motif_rmsd_ang,
        "quality": asdict(sample.quality),
    }
    if coordinates:
        record["coordinates"] = np.round(sample.coordinates.astype(np.float64), _DECIMALS).tolist()
    return record


def _stacks(
    ensembles: Sequence[BackboneEnsemble], residue: str, b_factors: BFactors
) -> Iterator[tuple[BackboneEnsemble, AtomArrayStack, np.ndarray]]:
    """Each ensemble that has samples, all of them as biotite models, and B factors of all atoms.  [S, 4L]"""
    check_residue(residue)
    given: Sequence[np.ndarray | None] = [None] * len(ensembles) if b_factors is None else b_factors
    for ensemble, values in zip(ensembles, given, strict=True):
        if ensemble.samples:
            shape = (len(ensemble.samples), ensemble.length)
            b = np.zeros(shape) if values is None else np.asarray(values, np.float64)
            if b.shape != shape or not ((b >= 0) & (b < _MOST_B)).all():
                raise FormatError(f"B factors must be {list(shape)} numbers from 0 and below {_MOST_B:.0f}")
            yield ensemble, _stack(ensemble, residue), np.repeat(b, len(ATOMS), axis=1)


def _stack(ensemble: BackboneEnsemble, residue: str) -> AtomArrayStack:
    coordinates = np.stack([sample.coordinates for sample in ensemble.samples])
    if not np.isfinite(coordinates).all():
        raise FormatError(f"a coordinate of {one_line(ensemble.id)!r} is not a finite number and cannot be written")
    stack = AtomArrayStack(len(coordinates), len(ATOMS) * ensemble.length)
    stack.coord = np.round(coordinates.reshape(len(coordinates), -1, 3), _DECIMALS).astype(np.float32)
    stack.chain_id[:] = "A"
    stack.res_id = np.repeat(np.arange(1, ensemble.length + 1), len(ATOMS))
    stack.res_name[:] = residue
    stack.atom_name = np.tile(np.array(ATOMS), ensemble.length)
    stack.element = np.tile(np.array([name[0] for name in ATOMS]), ensemble.length)
    stack.set_annotation("occupancy", np.ones(stack.array_length(), np.float32))
    return stack


def _categories(ensemble: BackboneEnsemble, model: str, residue: str, has_b: bool) -> dict[str, dict[str, Any]]:
    """What mmCIF says besides the atoms."""
    rows = [sample_properties(ensemble, sample, model) for sample in ensemble.samples]
    properties = {key: [row[key] for row in rows] for key in rows[0]}
    return {
        **polymer_categories(residue, ensemble.length, "Sampled protein backbone", _SOME_B if has_b else _NO_B),
        "shapespace_backbone": {"model_num": np.arange(1, len(rows) + 1), **properties},
    }
