"""Denoising loss: Euclidean, horizontal, or Euclidean after a rigid alignment.

Axes: B samples, N padded points.  Coordinates in angstrom.
"""

import torch
from torch import Tensor

from models.geometry.alignment import align
from models.geometry.frames import to_offsets
from models.geometry.quotient import centre, horizontal_projection
from models.samplers.prior import CA_STEP_ANG, CHAIN_ANCHOR, CHAIN_POINTS

LOSSES = ("quotient", "plain", "aligned")
METRICS = ("flat", "chain", "contact")
CHAIN_METRICS = METRICS[1:]
_LATEST = 0.9  # the weight stops growing here; closer to the data, errors are rounding and not shape
_OFFSET_STD_ANG = 1.05  # N, C and O as seen from their CA
_PEPTIDE_ANG = 1.33  # C to the next N
_SPANS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # along the chain
_LEAST_SPAN = 4  # residues nearer along the chain are no contact, since the spans hold them in place
_CONTACT_ANG = 3.5  # at this distance of two CA a contact counts 0.6, at twice of it 0.14; neighbours in a sheet have 5
_CONTACTS = 0.5  # strength beside the errors along the chain
_NOISE_ANG = 7.5  # deviation of a coordinate of the place of a residue in the prior


def denoising_loss(
    x_t: Tensor, denoised: Tensor, x_data: Tensor, t: Tensor, mask: Tensor, kind: str, metric: str = "flat"
) -> Tensor:
    """Mean over all real coordinates of the weighted squared error; see `shape_errors`.

    The weight is w(t) = 1 / (1 - min(t, 0.9))^2.  In the metric `flat` all coordinates count alike, Å^2.  In the metric
    `chain` errors count at every scale along the chain alike; see `chain_errors`; `contact` adds those of residues that
    are near in space; see `contact_errors`.  Any such metric has its minimum at the same guess, the mean
    E[x_data | x_t]; they differ in what is learnt first.
    """
    weight = 1 / (1 - t.clamp(max=_LATEST)).square()
    error = shape_errors(x_t, denoised, x_data, mask, kind)
    if metric in CHAIN_METRICS:
        each = chain_errors(error, mask)
        if metric == "contact":
            each = each + _CONTACTS * contact_errors(error, x_t, t, mask)
        return (weight * each).sum() / mask.sum()
    return (weight * error.square().sum((1, 2))).sum() / (3 * mask.sum())


def chain_errors(error: Tensor, mask: Tensor) -> Tensor:
    """Squared errors of points seen from their CA, of peptide bonds and of CA seen from each other, over variances.

    Without it, what cannot be known yet of the whole chain drowns what can be learnt of its turns: the error of the
    place of a residue in a chain of 100 has 60 times the variance of that of a peptide bond.

    Args:
        error: Guess minus truth of backbones, Å.  [B, N*4, 3]
        mask: True for real points.  [B, N*4]

    Returns:
        Mean over the scales, summed over the points.  [B]
    """
    points = error.view(len(error), -1, CHAIN_POINTS, 3)
    there = mask.view(len(mask), -1, CHAIN_POINTS)[:, :, 0]
    offsets = to_offsets(points, CHAIN_ANCHOR)
    inner = [k for k in range(CHAIN_POINTS) if k != CHAIN_ANCHOR]
    count = there.sum(1).to(error.dtype)
    parts = [offsets[:, :, inner].square().mean((2, 3)).sum(1) / _OFFSET_STD_ANG**2 / count]
    linked = (there[:, 1:] & there[:, :-1]).to(error.dtype)
    peptide = (points[:, 1:, 0] - points[:, :-1, 2]).square().mean(-1) * linked
    parts.append(peptide.sum(1) / linked.sum(1).clamp(min=1) / (_PEPTIDE_ANG**2 / 3))
    anchor = points[:, :, CHAIN_ANCHOR]
    size = (2.642 * count**0.353).square() / 3
    parts.append(anchor.square().mean(-1).sum(1) / count / size)
    for span in _SPANS:
        both = (there[:, span:] & there[:, :-span]).to(error.dtype)
        apart = ((anchor[:, span:] - anchor[:, :-span]).square().mean(-1) * both).sum(1) / both.sum(1).clamp(min=1)
        parts.append(apart / (span * CA_STEP_ANG**2 / 3 * torch.ones_like(size)).minimum(2 * size))
    scales = len(parts) - (count[:, None] <= count.new_tensor(_SPANS)).sum(1)  # short chains have no long spans
    return torch.stack(parts).sum(0) / scales * count * CHAIN_POINTS


def contact_errors(error: Tensor, x_t: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    """Squared errors of where residues lie that are near in space but not along the chain, as seen from each other.

    Strands of a sheet lie some Å apart while noise moves them by much more than the neighbours in the chain, so that
    errors of their pairing are lost in `chain_errors`.  What is near is read from `x_t` alone, so that the minimum
    stays where it is.

    Args:
        error: Guess minus truth of backbones, Å.  [B, N*4, 3]
        x_t: Input of the network, Å.  [B, N*4, 3]
        t: Time.  [B]
        mask: True for real points.  [B, N*4]

    Returns:
        Mean over the pairs over what a difference of two CA may be off, times the points.  [B]
    """
    there = mask.view(len(mask), -1, CHAIN_POINTS)[:, :, 0]
    place = torch.arange(there.shape[1], device=mask.device)
    far = (place[:, None] - place).abs() >= _LEAST_SPAN
    anchor, off = (x.view(len(x), -1, CHAIN_POINTS, 3)[:, :, CHAIN_ANCHOR] for x in (x_t, error))
    distance = (anchor[:, :, None] - anchor[:, None]).square().sum(-1)
    near = (-distance / (2 * _CONTACT_ANG**2)).exp() * (there[:, :, None] & there[:, None] & far).to(error.dtype)
    apart = (off[:, :, None] - off[:, None]).square().mean(-1)
    size = CA_STEP_ANG**2 / 3 + 2 * ((1 - t) * _NOISE_ANG).square()
    # a chain without contacts, drawn out, has nearly no pairs and counts nearly nothing
    return (near * apart).sum((1, 2)) / near.sum((1, 2)).clamp(min=1) / size * mask.sum(1)


def squared_errors(x_t: Tensor, denoised: Tensor, x_data: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Squared error of each guess, summed over its coordinates, Å^2; see `shape_errors`.  [B]"""
    return shape_errors(x_t, denoised, x_data, mask, kind).square().sum((1, 2))


def shape_errors(x_t: Tensor, denoised: Tensor, x_data: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Error of each guess, as far as it counts.

    `plain` is D - x_data.  `quotient` counts only the part of the error that is horizontal at `x_t`,
    P_{x_t}(D - x_data): the network is free to say anything about position and orientation.  `aligned` first moves
    the target rigidly onto the guess, without gradient; it does not change when guess or target are moved, but its
    minimum is no longer E[x_data | x_t], so that no sampler is exact for it.

    Args:
        x_t: Centred input of the network, Å.  [B, N, 3]
        denoised: Its guess, Å.  [B, N, 3]
        x_data: The clean structure, Å.  [B, N, 3]
        mask: True for real points.  [B, N]
        kind: One of `LOSSES`.

    Returns:
        Å.  [B, N, 3]

    Source:
        `aligned`: Abramson et al. 2024, AlphaFold 3, supplement, algorithm 28 (all weights one).
    """
    if kind == "aligned":
        guess = centre(denoised, mask)
        return guess - align(x_data, guess.detach(), mask)
    error = (denoised - x_data) * mask.unsqueeze(-1)
    return horizontal_projection(x_t, error, mask) if kind == "quotient" else error
