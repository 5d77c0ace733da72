"""An evaluation of backbones as one JSON record, and the record as Markdown.

In the record shares are between 0 and 1; tables show percent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.data.quality import CA_STEP_ANG, CA_STEP_ROOM_ANG, REASONS
from models.evaluation.backbones.histograms import ANGLE_BINS, SHARE_STEPS
from models.evaluation.backbones.likelihood import TEMPERATURE, WEIGHTS
from models.evaluation.backbones.novelty import ALIGNED, COMPARED, WORD
from models.evaluation.backbones.rows import LIKENESS
from models.evaluation.backbones.similarity import CLUSTER_TM
from models.evaluation.backbones.studies import WITHIN_PERCENT
from models.evaluation.conformers import RESAMPLES
from models.evaluation.tables import number, plain, table, text

FORMAT = 1
RULES = (
    "Rows: samples; validation chains of the same lengths; as many training chains of these lengths as there are "
    "samples, chosen at random, which show how far apart draws from nature are; and validation chains with each "
    "coordinate moved by Gaussian noise, a control. With `core_only` validation and training chains are those that are "
    "compact and at least 35 % helix and strand; test chains and those searched for neighbours are all there are.",
    f"Cells: mean over chains and in brackets its 95 % bootstrap interval ({RESAMPLES} resamples of the chains).",
    f"Sound: share without any of these faults: {'; '.join(REASONS.values())}. The same check for every row. CA-CA: "
    f"share of steps of {CA_STEP_ANG} ± {CA_STEP_ROOM_ANG} Å. Favoured and outlier: regions of the general "
    "Ramachandran table, glycine and proline of natural chains included, so these do not reach 98 and 0.2 %. Right: "
    "share of helical turns that are right-handed. Rg: radius of gyration over 2.642 L^0.353 Å.",
    "Helix and strand: three states of pydssp, by hydrogen bonds. JSD: Jensen-Shannon divergence, base 2, of pooled "
    "counts; its interval resamples the chains of the row, less the mean excess of resampling. Few chains alone make "
    "it larger: compare with the row of training chains.",
    "JSD of: content, the three shares of helix, strand and coil of all residues; content by chain, chains by helix "
    f"and strand share in {SHARE_STEPS} x {SHARE_STEPS} bins; phi/psi, {ANGLE_BINS} x {ANGLE_BINS} bins; CA distances "
    "of residues three or more apart, bins of 1 Å; Rg ratio, bins of 0.1. To validation: chains of the same lengths. "
    "To test: test chains of any length, since there are few.",
    f"TM: mean score of all pairs of a row by TM-align, mean over both lengths. Clusters: chains above {CLUSTER_TM} "
    "are joined, directly or through others. Nearest: highest TM-score to a training chain, over the length of the "
    f"sample, among the {COMPARED} best 3Di alignments of the {ALIGNED} chains that share most rare 3Di words of "
    f"{WORD} letters. Novel: share whose nearest is below {CLUSTER_TM}.",
    f"Designability proxy: CA-only ProteinMPNN ({WEIGHTS}, temperature {TEMPERATURE:g}) samples a sequence; mean "
    f"negative log-likelihood per residue. Limit: {WITHIN_PERCENT:g}th percentile of the sound validation chains. "
    "Within: share of the sound chains at or below it. It does not see handedness and hardly sees small faults, so it "
    "says nothing of chains that are not sound; rows without sound chains are scored as they are. It is not scRMSD "
    "designability.",
    "Classes: a classifier of our own on SCOPe classes, trained on one training chain of each cluster. JSD of mean "
    "probabilities; Frechet distance of hidden features, larger for few chains. Neither can be compared with figures "
    "made with other classifiers.",
)
_CLASSES = "abcd"
_LIKENESS_TITLES = ("content", "content by chain", "phi/psi", "CA distances", "Rg")


def build_backbone_record(found: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The record.

    Args:
        found: What `evaluate_backbones` returned.
        about: What the science cannot know: `date`, `command`, `versions`, `machine`, `data`, `samples`, `settings`.
    """
    return plain({"format": FORMAT, **about, "rules": list(RULES), **found})


def backbones_to_markdown(record: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = ("samples", "data", "settings", "versions", "machine")
    lines = ["# Evaluation of backbones", ""]
    for key in parts:
        if record.get(key):
            lines.append(f"- {key}: " + ", ".join(f"{name} {text(value)}" for name, value in record[key].items()))
    lines += [f"- date: {record['date']}"] if record.get("date") else []
    for one in record["bins"]:
        lines += ["", f"## {one['low']} to {one['high']} residues", "", *to_tables(one["rows"])]
    if len(record["bins"]) > 1:
        lines += ["", "## All lengths together", "", *to_tables(record["overall"])]
    lines += ["", "## How it was measured", "", *(f"- {rule}" for rule in record["rules"]), ""]
    if record.get("classifier"):
        lines += [_classifier(record["classifier"]), ""]
    if not record["test_chains"]:
        lines.append("The set has no test chains.\n")
    return "\n".join(lines)


def to_tables(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Soundness, likeness, and, where they were measured, diversity and novelty."""
    names = [row["name"] for row in rows]
    lines = table(
        ["chains", "sound, %", "CA-CA, %", "favoured, %", "outlier, %", "trans, %", "right, %", "Rg ratio"],
        [
            [str(row["chains"]), interval(row["passed"], 100, 1), interval(row["ca_step_share"], 100, 2)]
            + [interval(row[key], 100, 1) for key in ("favoured", "outliers", "trans_share", "right_handed")]
            + [interval(row["rg_ratio"], 1, 3)]
            for row in rows
        ],
        names,
    )
    lines += table(
        ["bonds off by, Å", "angles off by, °", "helix, %", "strand, %", "first faults"],
        [
            [interval(row["bond_error_ang"], 1, 3), interval(row["angle_error_deg"], 1, 2)]
            + [interval(row["content"][letter], 100, 1) for letter in "HE"]
            + [", ".join(f"{count} {fault}" for fault, count in row["faults"].items()) or "-"]
            for row in rows
        ],
        names,
    )
    lines += table(
        [f"{title}, JSD to validation" for title in _LIKENESS_TITLES]
        + [f"{title}, JSD to test" for title in _LIKENESS_TITLES[:2]],
        [
            [spread((row["to_validation"] or {}).get(key)) for key in LIKENESS]
            + [spread(row["to_test"][key]) for key in LIKENESS[:2]]
            for row in rows
        ],
        names,
    )
    for key, titles, cells in _STUDIES:
        having = [row for row in rows if row.get(key)]
        lines += table(titles, [cells(row[key]) for row in having], [row["name"] for row in having]) if having else []
    return lines


def _classifier(card: Mapping[str, Any]) -> str:
    """How good the classifier is."""
    words = [f"{key} {number(card[key], 100, 1)} %" for key in ("accuracy", "balanced", "majority")]
    return f"Classifier: trained on {card['trained_on']} chains, held out {card['held_out']}: {', '.join(words)}."


def _diversity(found: Mapping[str, Any]) -> list[str]:
    ends = found["interval"]
    both = None if found["mean_tm"] is None or not ends else (found["mean_tm"], *ends)
    return [str(found["chains"]), spread(both), str(found["clusters"])]


def _novelty(found: Mapping[str, Any]) -> list[str]:
    return [str(found["chains"]), interval(found["nearest_tm"], 1, 3), interval(found["novel"], 100, 1)]


def _proxy(found: Mapping[str, Any]) -> list[str]:
    counts = [str(found[key]) for key in ("chains", "sound")]
    return [*counts, interval(found["nll"], 1, 3), number(found["limit"], 1, 3), interval(found["within"], 100, 1)]


def _classes(found: Mapping[str, Any]) -> list[str]:
    shares = " / ".join(number(found["shares"][letter], 100, 0) for letter in _CLASSES)
    return [str(found["chains"]), shares, spread(found["divergence"]), number(found["frechet"], 1, 1)]


# key of the row, titles, cells
_STUDIES: tuple[tuple[str, tuple[str, ...], Callable[[Any], list[str]]], ...] = (
    ("diversity", ("chains", "mean TM", "clusters"), _diversity),
    ("novelty", ("chains", "nearest training chain, TM", "novel, %"), _novelty),
    (
        "proxy",
        ("chains", "sound", "designability proxy: negative log-likelihood", "limit", "within, %"),
        _proxy,
    ),
    ("classes", ("chains", "SCOPe class a / b / c / d, %", "classes, JSD to validation", "Frechet distance"), _classes),
)


def interval(summary: Mapping[str, float] | None, factor: float, digits: int) -> str:
    """Mean and interval of a `Summary`'s fields; a dash for None."""
    if summary is None:
        return "-"
    mean, low, high = (number(summary[key], factor, digits) for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def spread(values: Sequence[float] | None) -> str:
    """A value and its interval; a dash for None."""
    if values is None:
        return "-"
    value, low, high = (number(item, 1, 3) for item in values)
    return f"{value} [{low}, {high}]"
