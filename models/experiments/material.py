"""Data that all runs of an experiment share: packed training blocks, and molecules kept out of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.data.automorphisms import add_automorphisms
from models.data.datasets import ReferenceMolecule, flat_smiles, read_excluded, read_set
from models.data.packing import PackedSet, load_packed, pack, save_packed
from models.errors import DataError
from models.evaluation.case import Case, evenly, read_cases
from models.evaluation.conformers import Target
from models.experiments.curvature import SIZES
from models.experiments.holdout import hold_out

MAX_REFERENCES = 20  # of one molecule


@dataclass(frozen=True)
class Sources:
    """Where the data come from and how much of them is used.

    Attributes:
        data: Training sets.
        exclude: Test sets, whose molecules are used for nothing.
        references: Set of ensembles to compare samples with, evenly spaced ones; none of its molecules is trained on.
        bucket_sizes: Largest atom count of each bucket; larger molecules are left out.
        max_molecules: Most molecules of the training sets, evenly spaced; None takes all.
        validation: Molecules held out of the training sets, and most molecules of `references` that are sampled.
        per_size: Molecules of each atom count held out for the curvature drift.
        samples: Samples of each molecule that has no ensemble.
        automorphisms: Most automorphisms of each molecule; 0 looks for none.
    """

    data: tuple[Path, ...]
    exclude: tuple[Path, ...]
    references: Path | None
    bucket_sizes: tuple[int, ...]
    max_molecules: int | None
    validation: int
    per_size: int
    samples: int
    automorphisms: int


@dataclass(frozen=True)
class Material:
    """What all runs share.

    Attributes:
        blocks: Training data.
        targets: Held-out molecules whose errors are measured.
        cases: Molecules whose ensembles are measured.
        sized: Molecules for the curvature drift.
        counts: Molecules that were trained on, and how many were left out for which reason.
    """

    blocks: list[PackedSet]
    targets: list[Target]
    cases: list[Case]
    sized: list[Target]
    counts: dict[str, Any]


def build_material(sources: Sources, folder: Path, processes: int) -> Material:
    """Read, hold out and pack; the packed blocks are kept in `folder` for the next time.

    Raises:
        DataError: No training set, no test set to exclude, or nothing left to learn from or to measure.
    """
    if not sources.data:
        raise DataError("name at least one training set with --data")
    if not sources.exclude:
        raise DataError("name the test sets with --exclude, so that none of their molecules is used")
    tests = read_excluded(sources.exclude)
    ensembles = list(read_set(sources.references)) if sources.references else []
    apart = {key for molecule in ensembles if (key := flat_smiles(molecule.smiles))}
    if apart & tests:
        raise DataError(
            f"{sources.references} holds molecules of the excluded test sets, such as {min(apart & tests)}; give "
            "ensembles of other molecules with --references"
        )
    molecules = [molecule for path in sources.data for molecule in read_set(path)]
    molecules = [molecules[k] for k in evenly(len(molecules), sources.max_molecules or len(molecules))]
    edges, size, total = sources.bucket_sizes, max(sources.bucket_sizes), len(molecules)
    molecules = [molecule for molecule in molecules if len(molecule.numbers) <= size]
    held = hold_out(molecules, tests | apart, sources.validation, sources.per_size, SIZES)
    validation, sized = (_usable(part, 1, sources.samples) for part in (held.validation, held.sized))
    if not validation:
        raise DataError("no molecule is left to measure on; give a larger training set or --validation above 0")
    small = [molecule for molecule in ensembles if len(molecule.numbers) <= size]
    small = [small[k] for k in evenly(len(small), sources.validation)]
    cases = _usable(small, MAX_REFERENCES, None) if sources.references else validation
    if not cases:
        raise DataError(f"{sources.references} holds no molecule of at most {size} atoms that can be sampled")
    packed, facts = folder / "packed.npz", folder / "data.json"
    if not facts.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        blocks, counts = pack(molecules, tests | apart | held.keys, edges, processes)
        if not blocks:
            raise DataError(f"no molecule is left to learn from: {counts}")
        if sources.automorphisms:
            blocks = [add_automorphisms(block, sources.automorphisms) for block in blocks]
        save_packed(packed, blocks)
        counts["too_large"] = total - len(molecules)
        counts["test_or_held_out"] = counts.pop("test_molecule", 0)
        facts.write_text(json.dumps({"sources": [path.name for path in sources.data], **counts}, indent=2))
    found = json.loads(facts.read_text())
    return Material(load_packed(packed), _targets(validation), cases, _targets(sized), found)


def without_automorphisms(blocks: Sequence[PackedSet]) -> list[PackedSet]:
    """The blocks as a run without automorphisms sees them."""
    return [replace(block, automorphisms=None) for block in blocks]


def _usable(molecules: Sequence[ReferenceMolecule], references: int, samples: int | None) -> list[Case]:
    """Cases that can be sampled, with so many samples of each; None leaves two for each reference."""
    cases = read_cases(molecules, references, None, seed=0) if molecules else []
    live = [(case, case.target) for case in cases if case.target is not None]
    return [replace(case, target=replace(target, requested=samples or target.requested)) for case, target in live]


def _targets(cases: Sequence[Case]) -> list[Target]:
    return [case.target for case in cases if case.target is not None]
