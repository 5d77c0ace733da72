"""Requests shown in the OpenAPI document; a test sends each of them."""

from __future__ import annotations

from math import cos, radians, sin

REQUEST_EXAMPLES = {
    "one": {
        "summary": "Ten conformers of L-alanine",
        "value": {"molecules": [{"id": "alanine", "smiles": "C[C@H](N)C(=O)O"}], "num_conformers": 10, "seed": 7},
    },
    "several": {
        "summary": "Several molecules, another sampler, coordinates as JSON",
        "value": {
            "molecules": [{"smiles": "CCO"}, {"smiles": "C/C=C/C"}],
            "num_conformers": 2,
            "seed": 1,
            "sampler": {"kind": "heun", "steps": 20},
            "format": "json",
        },
    },
    "warm": {
        "summary": "Warm start: five steps from guesses of ETKDG",
        "value": {
            "molecules": [{"smiles": "CC(=O)Nc1ccc(O)cc1"}],
            "num_conformers": 3,
            "seed": 1,
            "start": "etkdg",
            "sampler": {"steps": 5, "start_time": 0.8},
        },
    },
    "enumerate": {
        "summary": "All stereoisomers of a molecule whose stereo is left open",
        "value": {"molecules": [{"id": "a", "smiles": "CC(F)O"}], "num_conformers": 2, "stereo": "enumerate"},
    },
    "finish": {
        "summary": "Relaxed with MMFF94s, without duplicates, lowest energy first",
        "value": {
            "molecules": [{"smiles": "CCCCO"}],
            "num_conformers": 10,
            "seed": 1,
            "finish": {"relax": "mmff94s", "prune_rmsd": 0.125, "rank": True, "energy_window": 6.0},
        },
    },
}

# An ideal alpha helix: turn and rise (Å) of a residue; distance from the axis (Å), angle and height (Å) of its atoms.
_TURN_DEG, _RISE_ANG = 99.36, 1.556
_HELIX = {"N": (1.535, -26.27, -0.920), "CA": (2.283, 0.0, 0.0), "C": (1.696, 27.40, 1.055), "O": (2.014, 22.03, 2.232)}


def _helix(residues: int) -> str:
    """PDB text of an ideal alpha helix."""
    lines: list[str] = []
    for number in range(1, residues + 1):
        for name, (away, degrees, height) in _HELIX.items():
            angle = radians(degrees + number * _TURN_DEG)
            place = (away * cos(angle), away * sin(angle), height + number * _RISE_ANG)
            lines.append(
                f"ATOM  {len(lines) + 1:5d}  {name:<3} ALA A{number:4d}    "
                f"{place[0]:8.3f}{place[1]:8.3f}{place[2]:8.3f}  1.00  0.00           {name[0]}\n"
            )
    return "".join(lines)


BACKBONE_EXAMPLES = {
    "lengths": {
        "summary": "Four backbones of each of two lengths",
        "value": {"lengths": [64, 100], "num_samples": 4, "seed": 1},
    },
    "wishes": {
        "summary": "Mostly helix, more and calmer steps, coordinates as JSON",
        "value": {
            "lengths": [64],
            "ids": ["bundle"],
            "num_samples": 2,
            "seed": 1,
            "sampler": {"kind": "sde", "steps": 200, "noise_scale": 0.45},
            "condition": {"helix": 0.7, "strand": 0.0, "fold": "a"},
            "format": "json",
        },
    },
    "start": {
        "summary": "Begin at a structure, here a helix of 40 residues, and stay near it",
        "value": {"start": {"structure": _helix(40), "t": 0.6}, "num_samples": 2, "seed": 1},
    },
    "fixed": {
        "summary": "Keep the shape of residues 10 to 24 of a structure, and sample the rest around them",
        "value": {
            "start": {"structure": _helix(40), "chain": "A"},
            "fixed": ["A10-24"],
            "num_samples": 2,
            "seed": 1,
        },
    },
    "scaffold": {
        "summary": "Put residues of a structure at a place of their own in chains of another length",
        "value": {
            "lengths": [64],
            "start": {"structure": _helix(40)},
            "fixed": ["A10-24"],
            "at": [30],
            "num_samples": 2,
            "seed": 1,
        },
    },
}
