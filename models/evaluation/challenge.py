"""Hard molecules, in labelled groups: how many structures of the first draw are right, and how many of ETKDG's.

There is no reference to compare with; what counts is the checks of `models.data.verify`.

Coordinates are in Å.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.data.molecule import build_molecules, read_smiles
from models.draws import Draw
from models.errors import DataError, MoleculeError
from models.evaluation.baseline import EMBEDDED, embed
from models.evaluation.tally import Tally, tally
from models.options import SampleOptions
from models.pipeline import generate
from models.structure import Molecule
from models.weights import Model

FORMAT = 1
SHIPPED = Path(__file__).with_name("challenge.smi")
FIRST_DRAW, ALL = "model, first draw", "all"
EMBED_TIMEOUT_S = 30.0
RULES = (
    "Passes: share of the structures asked for that are finite, have every bond, no clash and the right stereo.",
    "Stereo right: share of the structures asked for whose stereochemistry as a whole, perceived again from the "
    "coordinates, is the requested one, whatever else is wrong; over molecules with stereocentres or stereo double "
    "bonds.",
    "A structure that was not made passes nothing; the reason is counted with the faults.",
    "'model, first draw' is one draw of each conformer, without redraws. ETKDGv3 embeds as many, without pruning.",
)


@dataclass(frozen=True)
class Entry:
    """One molecule of the set."""

    smiles: str
    group: str
    name: str


def read_entries(path: Path = SHIPPED) -> list[Entry]:
    """Molecules of a file with lines of SMILES, group and name; lines that begin with # are skipped.

    Raises:
        DataError: The file is missing, a line has no group, or there is no molecule.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}; give lines of SMILES, group and name")
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        smiles, group, name, *_ = [*line.split(maxsplit=2), "", ""]
        if not group:
            raise DataError(f"line {number} of {path} has no group; give SMILES, group and name")
        entries.append(Entry(smiles, group, name or smiles))
    if not entries:
        raise DataError(f"{path} holds no molecule")
    return entries


def run_challenge(
    model: Model,
    entries: Sequence[Entry],
    count: int,
    seed: int,
    options: SampleOptions,
    baseline: bool = True,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> list[dict[str, Any]]:
    """Draw every molecule once with the model, and embed it with ETKDG.

    Args:
        model: The model.
        entries: What to draw.
        count: Structures of each.
        seed: Fixes the structures; molecules get unrelated seeds.
        options: How to sample; one round is drawn whatever they say.
        baseline: Whether ETKDG is tried too.
        on_progress: Called with a phase, how much of it is done, and its total.

    Returns:
        For each entry its fields, `atoms`, `failure` if it cannot be read, and `rows`, a tally for each method.

    Raises:
        DataError: The count is below 1.
        SamplerError: The options do not fit the model.
    """
    if count < 1:
        raise DataError(f"{count} structures of each molecule are asked for; give 1 or more")
    seeds = [int(np.random.default_rng((seed, k)).integers(1, 2**31 - 1)) for k in range(len(entries))]
    read = [_read(entry, own) for entry, own in zip(entries, seeds, strict=True)]
    live = [k for k, molecule in enumerate(read) if isinstance(molecule, Molecule)]
    molecules = [m for m in read if isinstance(m, Molecule)]
    drawn: list[list[np.ndarray]] = [[] for _ in live]

    def keep(draw: Draw, x: np.ndarray, fault: str | None) -> None:
        drawn[draw.molecule].append(x)
        on_progress("sampling the model", sum(map(len, drawn)), count * len(live))

    once = replace(options, rounds=1)
    generate(model, molecules, [count] * len(live), [seeds[k] for k in live], once, on_structure=keep)
    results = []
    for k, entry in enumerate(entries):
        molecule = read[k]
        result: dict[str, Any] = {**asdict(entry), "seed": seeds[k], "atoms": None, "failure": None}
        if isinstance(molecule, Molecule):
            at = live.index(k)
            rows = {FIRST_DRAW: tally(molecule, drawn[at], [])}
            if baseline:
                x, why = embed(molecule.mol, count, seeds[k], EMBED_TIMEOUT_S)
                rows[EMBEDDED] = tally(molecule, list(x), [why or "embedding_failed"] * (count - len(x)))
                on_progress("embedding with RDKit", k + 1, len(entries))
            result["atoms"] = molecule.num_atoms
        else:
            lost = Tally(asked=count, faults={molecule: count})
            rows = dict.fromkeys((FIRST_DRAW, EMBEDDED) if baseline else (FIRST_DRAW,), lost)
            result["failure"] = molecule
        results.append({**result, "rows": {name: asdict(row) for name, row in rows.items()}})
    return results


def build_challenge_record(molecules: list[dict[str, Any]], about: dict[str, Any]) -> dict[str, Any]:
    """Results of `run_challenge` with their sums over each group and over all, plain JSON values.

    Args:
        molecules: The results.
        about: What the science cannot know: model, data, settings, versions, machine, date.
    """
    groups = [*dict.fromkeys(molecule["group"] for molecule in molecules), ALL]
    summary = []
    for group in groups:
        own = [molecule for molecule in molecules if group in (molecule["group"], ALL)]
        rows = {
            name: asdict(sum((Tally(**molecule["rows"][name]) for molecule in own), Tally())) for name in own[0]["rows"]
        }
        summary.append({"group": group, "molecules": len(own), "rows": rows})
    return {"format": FORMAT, **about, "rules": list(RULES), "summary": summary, "molecules": molecules}


def to_challenge_markdown(record: dict[str, Any]) -> str:
    """Table of the groups, and the reasons in words."""
    names = list(record["summary"][0]["rows"])
    titles = [
        "molecules",
        "structures",
        *(f"{name}: {what}, %" for name in names for what in ("passes", "stereo right")),
    ]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for line in record["summary"]:
        rows = [line["rows"][name] for name in names]
        shares = [
            _share(row[part], row[whole])
            for row in rows
            for part, whole in (("passed", "asked"), ("stereo_right", "stereo_asked"))
        ]
        lines.append("| " + " | ".join([line["group"], str(line["molecules"]), str(rows[0]["asked"]), *shares]) + " |")
    lines.append("")
    for line in record["summary"]:
        for name in names:
            faults = line["rows"][name]["faults"]
            if faults:
                words = ", ".join(f"{number} {reason}" for reason, number in faults.items())
                lines.append(f"- {line['group']}, {name}: {words}.")
    return "\n".join([*lines, *(f"- {rule}" for rule in record["rules"]), ""])


def _read(entry: Entry, seed: int) -> Molecule | str:
    """The molecule, or the reason why it cannot be sampled."""
    try:
        return build_molecules(read_smiles(entry.smiles, entry.name), seed)[0]
    except MoleculeError as error:
        return error.reason


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"
