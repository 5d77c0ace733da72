"""What is accepted: the table behind `GET /v1/limits` and the checks of every door."""

from __future__ import annotations

from typing import Any

from app.settings import Settings
from models.data.elements import ELEMENTS, MAX_ATOMS, MAX_FORMAL_CHARGE
from models.data.molecule import MAX_MOLBLOCK_CHARS, MAX_SMILES_CHARS
from models.data.motif import LIMIT_BYTES
from models.draws import MAX_SEED
from models.export.backbone_formats import BACKBONE_FORMATS
from models.export.formats import FORMATS
from models.export.polymer import RESIDUES
from models.finishing.options import MAX_PRUNE_RMSD_ANG, MAX_WINDOW_KCAL_MOL, METHODS
from models.options import MAX_CHURN, MAX_GUIDANCE, MAX_NOISE_SCALE, MAX_STEPS, MAX_TRIES, STARTS
from models.samplers.schedule import SCHEDULES
from models.samplers.steps import KINDS

MAX_STEREOISOMERS = 64
MAX_ID_CHARS = 80
MAX_FIXED = 64  # ranges of residues


def limits(settings: Settings) -> dict[str, Any]:
    """Every limit of a request, plain JSON values."""
    return {
        "molecules_per_request": settings.max_molecules,
        "conformers_per_molecule": settings.max_conformers,
        "conformers_per_request": settings.max_total_conformers,
        "body_bytes": int(settings.max_body_mb * 1e6),
        "request_timeout_s": settings.request_timeout_s,
        "parse_timeout_s": settings.parse_timeout_s,
        "atoms_with_hydrogens": MAX_ATOMS,
        "elements": list(ELEMENTS),
        "formal_charge": [-MAX_FORMAL_CHARGE, MAX_FORMAL_CHARGE],
        "smiles_characters": MAX_SMILES_CHARS,
        "molblock_characters": MAX_MOLBLOCK_CHARS,
        "id_characters": MAX_ID_CHARS,
        "stereoisomers_per_molecule": MAX_STEREOISOMERS,
        "seed": [0, MAX_SEED],
        "starts": list(STARTS),
        "sampler_tries": [1, MAX_TRIES],
        "sampler_kinds": list(KINDS),
        "sampler_steps": [1, MAX_STEPS],
        "sampler_schedules": list(SCHEDULES),
        "finish_methods": list(METHODS),
        "finish_prune_rmsd_ang": [0.0, MAX_PRUNE_RMSD_ANG],
        "finish_energy_window_kcal_mol": [0.0, MAX_WINDOW_KCAL_MOL],
        "formats": [*FORMATS, "json"],
        "media_types": ["application/json", *(f.media_type for f in FORMATS.values()), "application/zip"],
        "backbones": {
            "lengths_per_request": settings.max_lengths,
            "samples_per_length": settings.max_samples,
            "residues_per_request_of_100_steps": settings.max_residues,
            "structure_bytes": LIMIT_BYTES,
            "fixed": MAX_FIXED,
            "noise_scale": [0.0, MAX_NOISE_SCALE],
            "churn": [0.0, MAX_CHURN],
            "guidance": [0.0, MAX_GUIDANCE],
            "residues": list(RESIDUES),
            "formats": [*BACKBONE_FORMATS, "json"],
            "media_types": ["application/json", *(f.media_type for f in BACKBONE_FORMATS.values()), "application/zip"],
        },
    }
