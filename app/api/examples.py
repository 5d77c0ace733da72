"""Requests shown in the OpenAPI document; a test sends each of them."""

from __future__ import annotations

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
}
