"""An evaluation as one JSON record, and the record as Markdown tables.

The record keeps every distance, so tables for other thresholds can be made from it later.  In it, shares
are between 0 and 1 and an infinite distance is null; tables show percent.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from models.data.matchings import MAX_MATCHES
from models.data.mmff import MAX_ITERATIONS
from models.evaluation.case import Case, reference_deviations
from models.evaluation.conformers import RESAMPLES, coverage, matching, summarise
from models.evaluation.curves import distances_ang
from models.evaluation.run import Evaluation, EvaluationConfig
from models.evaluation.tables import cell, number, plain, table, text

FORMAT = 1
PROTOCOL = (
    "Two samples per reference conformer. Of molecules with more references than the limit, evenly spaced ones are "
    "used; likewise of sets with more molecules than the limit.",
    "RMSD: heavy atoms (no hydrogen at all), best superposition without reflection and best matching of equivalent "
    f"atoms (RDKit GetBestRMS, at most {MAX_MATCHES} matchings).",
    "COV: share of conformers closer than the threshold, strictly. AMR: mean distance to the nearest conformer. R "
    "(recall) is taken over the references, P (precision) over the samples.",
    "Cells: mean (median) over molecules and the 95 % bootstrap interval of the mean "
    f"({RESAMPLES} resamples of the molecules, percentiles).",
    "A molecule without samples counts as 0 in COV and is left out of AMR; its failure is named. A sample that is not "
    "finite counts as a miss in COV-P and is left out of AMR-P.",
    "Stereo that a SMILES leaves open is chosen by the seed, for the model and RDKit alike.",
)
RULES = (
    *PROTOCOL,
    "'model, first draw' is every structure of the first attempt, unchecked. 'model, served' is what passed the "
    "checks, after faulty structures were drawn again.",
    "R/S and E/Z: share of specified centres and double bonds that are right in 3D, over all structures. Valid: share "
    "of structures that pass every check, stereo included. Clash: share with two atoms too close that are not bonded.",
    "Bond and angle deviation: mean absolute difference, hydrogens included, from the mean over the references of the "
    "same molecule; mean over molecules.",
    "Seconds per conformer: wall time, failures included, over conformers obtained. Model: sampling alone, with all "
    "threads named above, its discarded draws included in 'served'. RDKit: one thread per process; the second row "
    f"includes the embedding; MMFF94s takes at most {MAX_ITERATIONS} iterations.",
)


def build_record(evaluation: Evaluation, config: EvaluationConfig, about: dict[str, Any]) -> dict[str, Any]:
    """Everything there is to know of an evaluation, as plain JSON values.

    Args:
        evaluation: What was measured.
        config: What was asked for.
        about: What the science cannot know: model, data, sampler, versions, machine, date, command.

    Returns:
        The record; `about` keeps its keys at the top.
    """
    rows = [
        {"name": row.name, "seconds": row.seconds, "molecules": [asdict(score) for score in row.scores]}
        for row in evaluation.rows
    ]
    spreads = [reference_deviations(case) for case in evaluation.cases]
    record = {
        "format": FORMAT,
        **about,
        "settings": {**about.get("settings", {}), **asdict(config)},
        "rules": list(RULES),
        "summary": [summarise_row(row, config.thresholds_ang) for row in rows],
        "references": {
            "bond_deviation_ang": _mean([bond for bond, _ in spreads]),
            "angle_deviation_deg": _mean([angle for _, angle in spreads]),
        },
        "checking_s": evaluation.checking_s,
        "molecules": describe_cases(evaluation.cases),
        "rows": rows,
    }
    return plain(record)


def describe_cases(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The molecules as plain JSON values."""
    return [
        {
            "smiles": case.smiles,
            "sampled_smiles": case.target.molecule.smiles if case.target else None,
            "atoms": case.target.molecule.num_atoms if case.target else None,
            "references": case.references,
            "seed": case.target.seed if case.target else None,
            "notes": list(case.target.molecule.notes) if case.target else [],
            "failure": case.failure,
        }
        for case in cases
    ]


def summarise_row(row: dict[str, Any], thresholds_ang: Sequence[float]) -> dict[str, Any]:
    """One row over all molecules, from its part of the record."""
    scores = row["molecules"]
    sides = {side: [distances_ang(score[f"{side}_ang"]) for score in scores] for side in ("recall", "precision")}
    validity = [score["validity"] for score in scores]
    samples = sum(score["samples"] for score in scores)

    def share(part: str, whole: str) -> float | None:
        total = sum(v[whole] for v in validity)
        return sum(v[part] for v in validity) / total if total else None

    return {
        "name": row["name"],
        "molecules": len(scores),
        "molecules_without_samples": sum(score["samples"] == 0 for score in scores),
        "failures": dict(Counter(score["failure"] for score in scores if score["failure"])),
        "capped_molecules": sum(score["capped"] for score in scores),
        "requested": sum(score["requested"] for score in scores),
        "samples": samples,
        "coverage": {
            f"{threshold:g}": {
                side: _fields(summarise([coverage(d, threshold) for d in distances]))
                for side, distances in sides.items()
            }
            for threshold in thresholds_ang
        },
        "matching_ang": {
            side: _fields(summarise([m for d in distances if (m := matching(d)) is not None]))
            for side, distances in sides.items()
        },
        "valid": share("valid", "structures"),
        "faults": dict(sum((Counter(v["faults"]) for v in validity), Counter())),
        "right_centres": share("centres_right", "centres"),
        "right_double_bonds": share("double_bonds_right", "double_bonds"),
        "clashing": share("clashes", "structures"),
        "bond_deviation_ang": _mean([v["bond_deviation_ang"] for v in validity]),
        "angle_deviation_deg": _mean([v["angle_deviation_deg"] for v in validity]),
        "seconds_per_conformer": row["seconds"] / samples if samples else None,
        "counts": dict(sum((Counter(score["counts"]) for score in scores), Counter())),
    }


def to_markdown(record: dict[str, Any]) -> str:
    """Tables and rules of a record, without headings, ready for a model card."""
    rows = record["summary"]
    names = [row["name"] for row in rows]
    thresholds = list(rows[0]["coverage"])
    lines = [*_about(record), ""]
    for letter, side in (("R", "recall"), ("P", "precision")):
        lines += table(
            [f"COV-{letter} < {t} Å, %" for t in thresholds] + [f"AMR-{letter}, Å", "molecules in AMR"],
            [
                [cell(row["coverage"][t][side], 100, 1) for t in thresholds]
                + [cell(row["matching_ang"][side], 1, 3), str((row["matching_ang"][side] or {}).get("count", 0))]
                for row in rows
            ],
            names,
        )
    lines += table(
        ["valid, %", "R/S right, %", "E/Z right, %", "clash, %", "bonds off by, Å", "angles off by, °"],
        [
            [number(row[key], 100, 1) for key in ("valid", "right_centres", "right_double_bonds", "clashing")]
            + [number(row["bond_deviation_ang"], 1, 4), number(row["angle_deviation_deg"], 1, 2)]
            for row in [*rows, {**dict.fromkeys(rows[0]), **record["references"]}]
        ],
        [*names, "the references themselves"],
    )
    lines += table(
        ["molecules", "without samples", "samples", "asked for", "s per conformer"],
        [
            [str(row[key]) for key in ("molecules", "molecules_without_samples", "samples", "requested")]
            + [number(row["seconds_per_conformer"], 1, 4)]
            for row in rows
        ],
        names,
    )
    lines += [f"- {row['name']}, {words}" for row in rows for words in _incidents(row)]
    opened = sum(bool(molecule["notes"]) for molecule in record["molecules"])
    lines += [f"- {opened} molecules leave stereo open."] if opened else []
    return "\n".join([*lines, *(f"- {rule}" for rule in record["rules"]), ""])


def _fields(record: Any) -> dict[str, Any] | None:
    """Fields of a record, or None."""
    return None if record is None else asdict(record)


def _about(record: dict[str, Any]) -> list[str]:
    """Model, set, settings, versions, machine and date, as far as the record says."""
    parts = [key for key in ("model", "data", "settings", "versions", "machine") if record.get(key)]
    lines = [f"- {key}: " + ", ".join(f"{k} {text(v)}" for k, v in record[key].items()) for key in parts]
    return [*lines, *([f"- date: {record['date']}"] if record.get("date") else [])]


def _incidents(row: dict[str, Any]) -> list[str]:
    """What went wrong in a row, in words."""
    listed = (("molecules without samples", row["failures"]), ("faults of structures", row["faults"]))
    words = [f"{what}: {', '.join(f'{count} {k}' for k, count in found.items())}." for what, found in listed if found]
    if row["capped_molecules"]:
        words.append(f"molecules with more matchings of atoms than were tried: {row['capped_molecules']}.")
    return words + [f"{key}: {count}." for key, count in row["counts"].items()]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
