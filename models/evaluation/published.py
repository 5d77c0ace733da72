"""Figures from the literature, for context only: other molecules, other machines, not measured here.

Cells are as printed, the mean and behind it in brackets the median where both are given.  COV is in percent, AMR in Å;
the threshold of COV decides which figures stand beside which set.

Source:
    Xu et al. 2026, "Quotient-Space Diffusion Models" (arXiv 2604.21809), the papers of the methods named, and the
    tables of comparison in them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One table.

    Attributes:
        title: Set and threshold.
        titles: Headings of the cells.
        rows: Name of each method, then its cells.
        note: What else is printed that can be compared.
    """

    title: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


_COLUMNS = ("COV-R, %", "AMR-R, Å", "COV-P, %", "AMR-P, Å")

PUBLISHED = {
    0.75: Published(
        "GEOM-DRUGS, threshold 0.75 Å",
        ("parameters", "steps", *_COLUMNS),
        (
            ("RDKit ETKDG", "-", "-", "38.4 (28.6)", "1.058 (1.002)", "40.9 (30.8)", "0.995 (0.895)"),
            ("OMEGA", "-", "-", "53.4 (54.6)", "0.841 (0.762)", "40.5 (33.3)", "0.946 (0.854)"),
            ("Torsional diffusion", "-", "20", "72.7 (80.0)", "0.582 (0.565)", "55.2 (56.9)", "0.778 (0.729)"),
            ("MCF-S", "13M", "1000", "79.4", "0.512", "57.4", "0.761"),
            ("MCF-L", "242M", "1000", "84.7", "0.390", "66.8", "0.618"),
            ("ET-Flow O(3)", "8.3M", "50", "79.53 (84.57)", "0.452 (0.419)", "74.38 (81.04)", "0.541 (0.470)"),
            ("ET-Flow O(3) + quotient", "8.3M", "50", "79.86 (85.71)", "0.459 (0.433)", "72.70 (79.63)",
             "0.565 (0.501)"),
            ("ET-Flow SO(3), reproduced", "9.1M", "50", "74.91", "0.541", "60.33", "0.724"),
            ("ET-Flow SO(3), reproduced, + quotient", "9.1M", "50", "78.50", "0.477", "67.35", "0.635"),
            ("DiTMC-aPE-B", "9.5M", "50", "79.9", "0.434", "76.5", "0.500"),
            ("DiTMC-aPE-L", "28.2M", "50", "79.2", "0.432", "77.8", "0.470"),
            ("DMT-L + flow refiner", "158M", "100+", "87.5 (94.1)", "0.349 (0.319)", "75.9 (81.5)", "0.497 (0.446)"),
            ("AvgFlow DiT, distilled", "52M", "1", "76.8", "0.548", "61.0", "0.720"),
        ),
        "CPU core-seconds per drug-like conformer, as printed in the paper on torsional diffusion: RDKit 0.10, GeoMol "
        "0.18, torsional diffusion 4.90 (20 steps), GeoDiff 305.",
    ),
    0.5: Published(
        "GEOM-QM9, threshold 0.5 Å",
        _COLUMNS,
        (
            ("RDKit ETKDG", "85.1 (100)", "0.235 (0.199)", "86.8 (100)", "0.232 (0.205)"),
            ("OMEGA", "85.5 (100)", "0.177 (0.126)", "82.9 (100)", "0.224 (0.186)"),
            ("Torsional diffusion", "92.8 (100)", "0.178 (0.147)", "92.7 (100)", "0.221 (0.195)"),
            ("ET-Flow SO(3)", "95.98 (100)", "0.076 (0.030)", "92.10 (100)", "0.110 (0.047)"),
            ("ET-Flow SO(3) + quotient", "96.40 (100)", "0.069 (0.024)", "93.30 (100)", "0.096 (0.036)"),
            ("DiTMC-aPE-B", "96.1", "0.073", "95.4", "0.085"),
            ("AvgFlow NequIP, distilled, 1 step", "95.1", "0.220", "84.8", "0.304"),
        ),
    ),
}  # fmt: skip
