"""What the service answers, as Python values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdkit.Chem import Mol


@dataclass(frozen=True)
class Result:
    """What became of one molecule, or of one of its stereoisomers.

    Attributes:
        id: The name it was asked for with, or its place.
        status: `ok`, `partial` or `failed`.
        smiles: Canonical isomeric SMILES of what was sampled; None if nothing was.
        mol: With one RDKit conformer for each that came back, whose id is its index; None if none did.
        conformers: Index, seed, energy and checks of each, in the order of the conformers of `mol`.
        problems: Why some are missing: reason, detail and count.
        record: The whole entry as it came, but for `structure`.
    """

    id: str
    status: str
    smiles: str | None
    mol: Mol | None
    conformers: list[dict[str, Any]]
    problems: list[dict[str, Any]]
    record: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Ensembles(Sequence[Result]):
    """Results in the order of the request.

    Attributes:
        model: That made them.
        seed: Of the request; the same seed gives the same structures.
        sampling: How they were made.
        results: One for each molecule or stereoisomer.
    """

    model: str
    seed: int
    sampling: dict[str, Any]
    results: list[Result]

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, place: Any) -> Any:
        return self.results[place]


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Attributes:
        id: Names it.
        kind: `conformers` or `backbones`.
        state: `queued`, `running`, `done`, `failed` or `cancelled`.
        items: Molecules or lengths in it.
        items_done: Of those.
        structures: Conformers or backbones that were asked for.
        structures_done: Of those, in items that are done, whether they were made or given up.
        structures_returned: Those that were made.
        queue_position: Jobs that start before it; None unless it is queued.
        seconds_left: Estimate; None when nothing is known.
        record: The whole document.
    """

    id: str
    kind: str
    state: str
    items: int
    items_done: int
    structures: int
    structures_done: int
    structures_returned: int
    queue_position: int | None
    seconds_left: float | None
    record: dict[str, Any] = field(repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What became of each item; empty in a list of jobs, which has no such details."""
        return list(self.record.get(f"{_WORDS[self.kind][0]}s", []))


_WORDS = {"conformers": ("molecule", "conformer"), "backbones": ("length", "sample")}  # of items and structures


def to_job(record: dict[str, Any]) -> JobStatus:
    """A job of the service."""
    progress, (item, structure) = record["progress"], _WORDS[record["kind"]]
    return JobStatus(
        record["id"],
        record["kind"],
        record["state"],
        progress[f"{item}s"],
        progress[f"{item}s_done"],
        progress[f"{structure}s"],
        progress[f"{structure}s_done"],
        progress[f"{structure}s_returned"],
        record["queue_position"],
        record["seconds_left"],
        record,
    )


def to_ensembles(answer: dict[str, Any]) -> Ensembles:
    """An answer of the service whose structures are SDF.

    Raises:
        ValueError: They are something else.
    """
    return Ensembles(answer["model"], answer["seed"], answer["sampling"], [_result(r) for r in answer["results"]])


def _result(record: dict[str, Any]) -> Result:
    record = dict(record)
    text = record.pop("structure")
    if text and not (isinstance(text, str) and text.rstrip().endswith("$$$$")):
        raise ValueError("the structures of this job are not SDF, so they cannot be read here; use `download`")
    mol = _read(text, [c["index"] for c in record["conformers"]]) if text else None
    names = ("id", "status", "smiles", "conformers", "problems")
    return Result(mol=mol, record=record, **{name: record[name] for name in names})


def _read(text: str, indices: list[int]) -> Mol:
    """All records of one molecule as conformers of one."""
    from rdkit import Chem

    supplier = Chem.SDMolSupplier()
    supplier.SetData(text, removeHs=False)
    whole: Mol | None = None
    for mol, index in zip(supplier, indices, strict=True):
        conformer = mol.GetConformer()
        conformer.SetId(index)
        if whole is None:
            whole = mol
        else:
            whole.AddConformer(conformer, assignId=False)
    assert whole is not None
    for name in list(whole.GetPropNames()):
        whole.ClearProp(name)  # they are those of the first conformer
    return whole
