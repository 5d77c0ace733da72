"""Pad features to a batch."""

from collections.abc import Sequence

import numpy as np
import torch

from models.structure import Features, PaddedBatch


def pad(items: Sequence[Features], size: int | None = None) -> PaddedBatch:
    """Batch features of different sizes.

    Args:
        items: One per sample; the same object may appear many times.
        size: Padded tokens; the largest item by default.

    Returns:
        B padded samples.
    """
    size = max(item.num_tokens for item in items) if size is None else size
    most = max(1, max(len(item.quadruples) for item in items))
    tokens = np.zeros((len(items), size, items[0].tokens.shape[1]), dtype=np.int64)
    pairs = np.zeros((len(items), size, size), dtype=np.int64)
    bonded = np.zeros((len(items), size, size), dtype=bool)
    quadruples = np.zeros((len(items), most, 4), dtype=np.int64)
    quadruple_mask = np.zeros((len(items), most), dtype=bool)
    token_mask = np.zeros((len(items), size), dtype=bool)
    for row, item in enumerate(items):
        n, q = item.num_tokens, len(item.quadruples)
        tokens[row, :n] = item.tokens
        pairs[row, :n, :n] = item.pairs
        bonded[row, :n, :n] = item.bonded
        quadruples[row, :q] = item.quadruples
        quadruple_mask[row, :q] = True
        token_mask[row, :n] = True
    return PaddedBatch(*map(torch.from_numpy, (tokens, pairs, bonded, quadruples, quadruple_mask, token_mask)))


def split_by_size(counts: Sequence[int], budget: int, step: int = 8) -> list[list[int]]:
    """Group items into batches of similar size.

    Args:
        counts: Tokens of each item.
        budget: Most padded token pairs in one batch; memory and time grow with pairs.
        step: Sizes are padded to multiples of this, so that few shapes occur.

    Returns:
        Indices of each batch, small items first.
    """
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(counts)), key=lambda k: (counts[k], k)):
        padded = -(-counts[index] // step) * step
        if not batches or padded != width or (len(batches[-1]) + 1) * padded**2 > budget:
            batches.append([])
            width = padded
        batches[-1].append(index)
    return batches
