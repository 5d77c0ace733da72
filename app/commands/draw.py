"""A picture of ensembles: the conformers of each molecule of an SDF, superposed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from rdkit import Chem
from rdkit.Chem import rdMolAlign

from models.errors import FormatError

_KINDS = (".png", ".svg", ".pdf")
_COLOURS = {
    "C": "#4d5560", "H": "#c3c8ce", "N": "#2f5fd0", "O": "#d0342c", "S": "#c79a12", "P": "#d97a1a", "F": "#38a169",
    "Cl": "#2f855a", "Br": "#8b3a2b", "I": "#6b3fa0", "B": "#c98b8b",
}  # fmt: skip


def run(source: Path, out: Path, hydrogens: bool, columns: int) -> None:
    """Draw every molecule of `source` into one picture.

    Args:
        source: SDF with the conformers of a molecule one after another.
        out: PNG, SVG or PDF.
        hydrogens: Draw hydrogens too.
        columns: Molecules in a row.

    Raises:
        FormatError: The file is missing or holds no structure.
    """
    if out.suffix.lower() not in _KINDS:
        raise FormatError(f"--out {out} has the extension {out.suffix!r}; allowed: {', '.join(_KINDS)}")
    if not source.is_file():
        raise FormatError(f"no file at {source}; make one with `shapespace sample ... -o {source}`")
    groups = read_groups(source)
    if not groups:
        raise FormatError(f"{source} holds no structure that RDKit can read")
    columns = min(columns, len(groups))
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.0 * rows), layout="constrained", dpi=160)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, (name, conformers) in zip(axes, groups, strict=False):
        draw_ensemble(axis, conformers, hydrogens)
        axis.set_title(f"{name} ({len(conformers)})", fontsize=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


def read_groups(source: Path) -> list[tuple[str, list[Chem.Mol]]]:
    """Conformers of one molecule that follow each other under one name."""
    groups: list[tuple[str, list[Chem.Mol]]] = []
    last: tuple[str, str] | None = None
    for mol in Chem.SDMolSupplier(str(source), removeHs=False):
        if mol is None:
            continue
        name, smiles = mol.GetProp("_Name"), Chem.MolToSmiles(mol, isomericSmiles=False)
        if (name, smiles) != last:
            groups.append((name, []))
            last = (name, smiles)
        groups[-1][1].append(mol)
    return groups


def draw_ensemble(axis: Axes, conformers: Sequence[Chem.Mol], hydrogens: bool) -> None:
    """Superpose on the first conformer's heavy atoms, look along the thinnest axis, draw half-bonds far to near."""
    first = conformers[0]
    heavy = [a.GetIdx() for a in first.GetAtoms() if a.GetAtomicNum() > 1] or [0]
    for mol in conformers[1:]:
        rdMolAlign.AlignMol(mol, first, atomMap=[(k, k) for k in heavy])
    positions = np.stack([mol.GetConformer().GetPositions() for mol in conformers])
    positions -= positions[0].mean(0)
    _, _, view = np.linalg.svd(positions[0], full_matrices=True)
    positions = positions @ view.T
    symbols = [atom.GetSymbol() for atom in first.GetAtoms()]
    shown = [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx())
        for b in first.GetBonds()
        if hydrogens or "H" not in (symbols[b.GetBeginAtomIdx()], symbols[b.GetEndAtomIdx()])
    ]
    segments, colours, depth = [], [], []
    for x in positions:
        for i, j in shown:
            middle = (x[i] + x[j]) / 2
            for k in (i, j):
                segments.append([x[k, :2], middle[:2]])
                colours.append(_COLOURS.get(symbols[k], "#b0479b"))
                depth.append(x[k, 2] + middle[2])
    order = np.argsort(depth)
    alpha = max(0.25, min(1.0, 4 / len(conformers)))
    lines = LineCollection(
        [segments[k] for k in order], colors=[colours[k] for k in order], linewidths=2.2, capstyle="round", alpha=alpha
    )
    axis.add_collection(lines)
    axis.set_aspect("equal")
    axis.autoscale_view()
