"""Backbones that the service answers, as biotite structures."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biotite.structure import AtomArray, AtomArrayStack


@dataclass(frozen=True)
class BackboneResult:
    """What became of one length.

    Attributes:
        id: The name it was asked for with, or length and place.
        length: Residues, L.
        status: `ok`, `partial` or `failed`.
        atoms: One biotite model of 4L atoms (N, CA, C, O of each residue) for each sample; None if there is none.
        samples: Seed, attempts, motif_rmsd_ang and quality of each, in the order of the models of `atoms`.
        reason: Why some are missing, a stable word; None when none is.
        detail: The same as a sentence.
        record: The whole entry as it came, but for the structures.
    """

    id: str
    length: int
    status: str
    atoms: AtomArrayStack | None
    samples: list[dict[str, Any]]
    reason: str | None
    detail: str
    record: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Backbones(Sequence[BackboneResult]):
    """Results in the order of the request.

    Attributes:
        model: That made them.
        seed: Of the request; the same seed gives the same structures.
        sampling: How they were made.
        template: What was read of the structure that was given; None without.
        results: One for each length.
    """

    model: str
    seed: int
    sampling: dict[str, Any]
    template: dict[str, Any] | None
    results: list[BackboneResult]

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, place: Any) -> Any:
        return self.results[place]


def to_backbones(answer: dict[str, Any]) -> Backbones:
    """An answer of the service whose structures are texts of files.

    Raises:
        ValueError: They are something else.
    """
    if answer["format"] not in _READERS:
        raise ValueError(f"the structures of this job are {answer['format']}, which is not read here; use `download`")
    results = [_result(record, answer["format"]) for record in answer["results"]]
    return Backbones(answer["model"], answer["seed"], answer["sampling"], answer["template"], results)


def _result(record: dict[str, Any], file_format: str) -> BackboneResult:
    from biotite.structure import stack  # takes a second, and nobody needs it for molecules

    samples = [{name: value for name, value in sample.items() if name != "structure"} for sample in record["samples"]]
    atoms = [_READERS[file_format](sample["structure"]) for sample in record["samples"]]
    names = ("id", "length", "status", "reason", "detail")
    return BackboneResult(
        atoms=stack(atoms) if atoms else None,
        samples=samples,
        record={**record, "samples": samples},
        **{name: record[name] for name in names},
    )


def _read_pdb(text: str) -> AtomArray:
    from biotite.structure.io.pdb import PDBFile

    return PDBFile.read(StringIO(text)).get_structure(model=1)


def _read_mmcif(text: str) -> AtomArray:
    from biotite.structure.io.pdbx import CIFFile, get_structure

    return get_structure(CIFFile.read(StringIO(text)), model=1)


def _read_bcif(text: str) -> AtomArray:
    from biotite.structure.io.pdbx import BinaryCIFFile, get_structure

    return get_structure(BinaryCIFFile.read(BytesIO(b64decode(text))), model=1)


_READERS = {"pdb": _read_pdb, "mmcif": _read_mmcif, "bcif": _read_bcif}
