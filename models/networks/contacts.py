"""Messages between tokens that are near in space but not along the chain, such as strands of a sheet.

Attention hands on mean places, which are linear in what it sees; how two strands lock into each other is not.  Here
each token sees a few others in its own frame, point by point, and what is nonlinear in that reaches it.

Axes: B samples, N padded tokens, K points per token, M near tokens, E edge channels, C channels.
"""

import torch
from torch import Tensor, nn

from models.networks.embedding import RadialBasis

_RADIAL, _CUTOFF_ANG = 16, 12.0
_SIGHT_ANG = 4.0  # places in a frame are bounded softly from this distance on
_ENVELOPE_ANG = 8.0  # at this distance a message counts 0.6, at twice of it 0.14
_AWAY_ANG = 1e4  # where tokens are put that are no contacts


class ContactEdges(nn.Module):
    """Which tokens are near, and how they lie.

    Args:
        near: Others that each token sees, M.
        reach: Tokens that are no further away along the chain are left out.
        points: K.
        anchor: Which of them stands for the token.
        sources: Structures that are looked at: the noisy one, and the previous guess.
        condition: Channels of time.
        width: E.
    """

    def __init__(
        self, near: int, reach: int, points: int, anchor: int, sources: int, condition: int, width: int
    ) -> None:
        super().__init__()
        self.near, self.reach, self.anchor = near, reach, anchor
        self.radial = RadialBasis(_RADIAL, _CUTOFF_ANG)
        self.pairs = ((anchor, anchor), (0, points - 1), (points - 1, 0))  # N and O are what hydrogen bonds join
        self.embed = nn.Linear(sources * (3 * points + len(self.pairs) * _RADIAL), width)
        self.time_to_edge = nn.Linear(condition, width)

    def forward(
        self, sources: list[Tensor], frames: list[Tensor], mask: Tensor, condition: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Near tokens, how much each counts, and what is seen of it.

        Args:
            sources: Structures, Å; zero where there is none.  [B, N, K, 3] each
            frames: Axes of their tokens.  [B, N, 3, 3] each
            mask: True for real tokens.  [B, N]
            condition: Embedding of time.  [B, C]

        Returns:
            Places of the near tokens, weights, and edges.  [B, N, M] int64, [B, N, M], [B, N, M, E]
        """
        known = [torch.ones_like(sources[0][:, :1, :1, :1])]
        known += [(source != 0).any(dim=(1, 2, 3), keepdim=True).to(source) for source in sources[1:]]
        surest = torch.where(known[-1] > 0, sources[-1], sources[0])[:, :, self.anchor]  # a guess has less noise
        index, weight = self._find(surest, mask)
        seen = []
        for source, axes, is_known in zip(sources, frames, known, strict=True):
            own = source.unsqueeze(2)
            others = _gather(source.flatten(2), index).unflatten(3, source.shape[2:])
            place = (others - own[:, :, :, self.anchor : self.anchor + 1]) @ axes.mT.unsqueeze(2)
            place = place / (_SIGHT_ANG + _length(place).unsqueeze(-1))
            between = [self.radial(_length(others[:, :, :, b] - own[:, :, :, a])) for a, b in self.pairs]
            seen.append(torch.cat((place.flatten(3), *between), dim=-1) * is_known)
        edges = self.embed(torch.cat(seen, dim=-1)) + self.time_to_edge(condition)[:, None, None]
        return index, weight, edges

    def _find(self, anchor: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest of those that may be contacts.  [B, N, 3], [B, N] -> [B, N, M] int64, [B, N, M]"""
        place = torch.arange(anchor.shape[1], device=anchor.device)
        far = (place[:, None] - place).abs() > self.reach
        distance = _length(anchor.unsqueeze(2) - anchor.unsqueeze(1))
        distance = distance.masked_fill(~(far & mask.unsqueeze(1)), _AWAY_ANG)
        nearest, index = distance.topk(min(self.near, anchor.shape[1]), dim=-1, largest=False)
        return index, (-(nearest / _ENVELOPE_ANG).square() / 2).exp()


class ContactMessages(nn.Module):
    """One round of messages; says nothing before training, so that it can be added to trained weights."""

    def __init__(self, channels: int, width: int, near: int) -> None:
        super().__init__()
        self.share = near**-0.5
        self.project_own = nn.Linear(channels, width, bias=False)
        self.project_other = nn.Linear(channels, width, bias=False)
        self.project_edge = nn.Linear(width, width)
        self.project_out = nn.Linear(width, channels, bias=False)
        nn.init.zeros_(self.project_out.weight)

    def forward(self, h: Tensor, index: Tensor, weight: Tensor, edges: Tensor) -> Tensor:
        """Update of the tokens.  [B, N, C], [B, N, M], [B, N, M], [B, N, M, E] -> [B, N, C]"""
        said = self.project_edge(edges) + self.project_own(h).unsqueeze(2) + _gather(self.project_other(h), index)
        said = nn.functional.silu(said) * weight.unsqueeze(-1).to(said.dtype)
        return self.project_out(said.sum(2) * self.share)


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """Values of the tokens at these places.  [B, N, V], [B, N, M] -> [B, N, M, V]"""
    flat = index.flatten(1).unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).view(*index.shape, values.shape[-1])


def _length(v: Tensor) -> Tensor:
    return v.square().sum(-1).add(1e-8).sqrt()
