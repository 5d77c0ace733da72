"""The benchmark as a page of Markdown, made from its JSON record alone.

In the record shares are between 0 and 1 and an infinite distance is null; the page shows percent.
"""

import shlex
from collections.abc import Sequence
from typing import Any

from models.data.mmff import MAX_ITERATIONS
from models.evaluation.baseline import EMBEDDED, RELAXED
from models.evaluation.conformers import coverage, matching, summarise
from models.evaluation.curves import distances_ang
from models.evaluation.report import PROTOCOL, summarise_row
from models.evaluation.tables import cell, number, table, text

FORMAT = 1
NAME = "benchmarks"  # of the page, its record and its figure
RULES = (
    "Every row of a set has the same molecules, references and seeds, and was made on the same machine.",
    *PROTOCOL,
    "From noise, from ETKDG: what the library returns. Structures that fail a check are drawn again; what fails to the "
    "end is missing. ETKDGv3: every conformer that RDKit makes, without pruning, unchecked. MMFF94s: relaxed with at "
    f"most {MAX_ITERATIONS} iterations. Lowest of several: so many are relaxed for each, and the lowest counts.",
    "First draws are unchecked; for RDKit they are all of its conformers. Valid: share that is finite, with every bond "
    "whole, no clash and the right stereo. Right stereo: share whose stereochemistry as a whole is the requested one, "
    "whatever else is wrong, over molecules with stereocentres or stereo double bonds. What is missing is wrong.",
    "Seconds per conformer: guesses, sampler steps, checks and redraws, or embedding and force field, failures "
    "included, over conformers obtained. Wall time; and processor time of all threads together (core-s). Rows are made "
    "one after another with nothing else in the process. The model runs batches of many molecules on all threads named "
    "above; its guesses and checks, and RDKit, run on one.",
    "Differences are taken molecule by molecule: mean and its 95 % bootstrap interval. Those of AMR are taken over "
    "molecules with samples in both rows.",
)
_SIDES = (("R", "recall"), ("P", "precision"))


def build_benchmark_record(about: dict[str, Any], sets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The record of the page.

    Args:
        about: What the science cannot know: `date`, `command`, `model`, `versions`, `machine`, `settings`.
        sets: For each its `title`, `data`, `thresholds_ang`, `molecules`, `rows` and `published`.
    """
    return {"format": FORMAT, **about, "rules": list(RULES), "sets": list(sets)}


def to_page(record: dict[str, Any]) -> str:
    """The whole page."""
    lines = [
        "# Benchmarks",
        "",
        "This model beside ETKDG: the same molecules in the same run on one machine. Everything measured is in "
        f"[{NAME}.json]({NAME}.json), and this page is made from it.",
        "",
        f"![Quality against time]({NAME}.png)",
        "",
        *_about(record),
        "",
    ]
    for one in record["sets"]:
        lines += _set(one)
    return "\n".join([*lines, "## Rules", "", *(f"- {rule}" for rule in record["rules"]), ""])


def summarise_set(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Every row of a set over all of its molecules, with the time of a conformer."""
    summaries = []
    for row in one["rows"]:
        summary = summarise_row(row, one["thresholds_ang"])
        samples = summary["samples"]
        cpu = row["cpu_seconds"] / samples if samples else None
        summaries.append({**summary, "core_seconds_per_conformer": cpu, "options": row["options"]})
    return summaries


def _about(record: dict[str, Any]) -> list[str]:
    """Command, dates, machine, versions and model."""
    rows = [row for one in record["sets"] for row in one["rows"]]
    dates = sorted(row["date"] for row in rows)
    first = min(rows, key=lambda row: row["date"])
    lines = [f"- command: `{shlex.join(record['command'])}`", f"- measured: {dates[0]} to {dates[-1]}"]
    for key in ("model", "versions", "machine", "settings"):
        lines.append(f"- {key}: " + ", ".join(f"{name} {text(value)}" for name, value in record[key].items()))
    begins = {(row["name"].split(",")[0], row["options"]["start_time"]) for row in rows if row["options"]}
    told = [f"{name} at t = {begin:g}" for name, begin in sorted(begins) if begin]
    lines += [f"- paths begin: {', '.join(told)}"] if told else []
    if first["load_average"]:
        lines.append(f"- load of the machine before the first row (1, 5, 15 minutes): {text(first['load_average'])}")
    return lines


def _set(one: dict[str, Any]) -> list[str]:
    """Tables of one set."""
    summaries = summarise_set(one)
    molecules, data = one["molecules"], one["data"]
    atoms = [molecule["atoms"] for molecule in molecules if molecule["atoms"]]
    references = sum(molecule["references"] for molecule in molecules)
    lines = [
        f"## {one['title']}",
        "",
        f"`{data['file']}` (SHA-256 `{data['sha256']}`): {len(molecules):,} of {data['molecules']:,} molecules, "
        f"{sum(atoms) / max(1, len(atoms)):.1f} atoms on average, {references:,} references; {2 * references:,} "
        "conformers asked for in each row.",
        "",
        *_quality(summaries),
        *_cost(one, summaries),
    ]
    names = [row["name"] for row in one["rows"]]
    for base in (name for name in (EMBEDDED, RELAXED) if name in names):
        lines += [f"Difference from {base}:", "", *_differences(one, base)]
    incidents = [
        words for row, summary in zip(one["rows"], summaries, strict=True) if (words := _incidents(row, summary))
    ]
    lines += [*incidents, ""] if incidents else []
    published = one["published"]
    if published:
        lines += [
            f"Published, on other molecules and other machines, not measured here ({published['title']}):",
            "",
            *table(published["titles"], [row[1:] for row in published["rows"]], [row[0] for row in published["rows"]]),
            *([published["note"], ""] if published["note"] else []),
        ]
    return lines


def _quality(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """COV at the main threshold and AMR, then COV at the others."""
    main, *others = list(summaries[0]["coverage"])
    titles = [title for letter, _ in _SIDES for title in (f"COV-{letter} < {main} Å, %", f"AMR-{letter}, Å")]
    titles += [f"COV-{letter} < {other} Å, %" for other in others for letter, _ in _SIDES]
    cells = [
        [
            words
            for _, side in _SIDES
            for words in (cell(row["coverage"][main][side], 100, 1), cell(row["matching_ang"][side], 1, 3))
        ]
        + [cell(row["coverage"][other][side], 100, 1) for other in others for _, side in _SIDES]
        for row in summaries
    ]
    return table(titles, cells, [row["name"] for row in summaries])


def _cost(one: dict[str, Any], summaries: Sequence[dict[str, Any]]) -> list[str]:
    """What is missing, what is right at first, and what it costs."""
    relaxed = next((row["core_seconds_per_conformer"] for row in summaries if row["name"] == RELAXED), None)
    titles = ["samples", "molecules without samples", "first draws valid, %", "first draws with right stereo, %"]
    titles += ["s per conformer", "core-s per conformer", f"core-s over those of {RELAXED}"]
    cells = []
    for row, summary in zip(one["rows"], summaries, strict=True):
        drawn, cores = row["first_draw"], summary["core_seconds_per_conformer"]
        cells.append([
            f"{summary['samples']:,}",
            str(summary["molecules_without_samples"]),
            number(_share(drawn["passed"], drawn["asked"]), 100, 1),
            number(_share(drawn["stereo_right"], drawn["stereo_asked"]), 100, 1),
            number(summary["seconds_per_conformer"], 1, 4),
            number(cores, 1, 4),
            number(cores / relaxed if cores is not None and relaxed else None, 1, 2),
        ])  # fmt: skip
    return table(titles, cells, [row["name"] for row in summaries])


def _incidents(row: dict[str, Any], summary: dict[str, Any]) -> str:
    """What went wrong in a row, in words; empty if nothing did."""
    listed = (
        ("faults of first draws", row["first_draw"]["faults"]),
        ("molecules without samples", summary["failures"]),
        ("minima not reached", {"": summary["counts"].get("unconverged", 0)}),
        ("molecules with more matchings of atoms than were tried", {"": summary["capped_molecules"]}),
    )
    counts = [(what, [f"{count} {word}".strip() for word, count in found.items() if count]) for what, found in listed]
    told = [f"{what}: {', '.join(words)}" for what, words in counts if words]
    return f"- {row['name']}: {'; '.join(told)}." if told else ""


def _differences(one: dict[str, Any], base: str) -> list[str]:
    """Every row less the row `base`, molecule by molecule."""
    rows = {row["name"]: row["molecules"] for row in one["rows"]}
    others = [name for name in rows if name != base]
    threshold = one["thresholds_ang"][0]

    def cells(name: str, side: str) -> tuple[str, str]:
        pairs = list(zip(rows[name], rows[base], strict=True))
        found = [[_coverage(score, side, threshold) for score in pair] for pair in pairs]
        nearest = [[_matching(score, side) for score in pair] for pair in pairs]
        return _difference(found, 100, 1), _difference(nearest, 1, 3)

    titles = [title for letter, _ in _SIDES for title in (f"COV-{letter}, points", f"AMR-{letter}, Å")]
    return table(titles, [[words for _, side in _SIDES for words in cells(name, side)] for name in others], others)


def _coverage(score: dict[str, Any], side: str, threshold_ang: float) -> float:
    return coverage(distances_ang(score[f"{side}_ang"]), threshold_ang)


def _matching(score: dict[str, Any], side: str) -> float | None:
    return matching(distances_ang(score[f"{side}_ang"]))


def _difference(pairs: Sequence[Sequence[float | None]], factor: float, digits: int) -> str:
    summary = summarise([a - b for a, b in pairs if a is not None and b is not None])
    if summary is None:
        return "-"
    mean, low, high = (f"{factor * value:+.{digits}f}" for value in (summary.mean, summary.low, summary.high))
    return f"{mean} [{low}, {high}]"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
