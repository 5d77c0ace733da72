"""The denoiser network and its configuration.

A plain transformer over tokens that carry K points each (one for an atom, four for a residue).  For atoms it is not
equivariant: random rotations in training teach it all orientations, and the sampler drops whatever it says about
rotation.  Residues have frames of their own, so that with `local` all it sees and says is said in them, and it is
equivariant for free.

Axes: B samples, N padded tokens, K points per token, Q quadruples, C channels, H heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.errors import DataError
from models.geometry.frames import build_frames, local_positions, to_offsets
from models.geometry.internal import pair_distances, signed_volumes
from models.networks.blocks import Block, modulate
from models.networks.contacts import ContactEdges, ContactMessages
from models.networks.embedding import CategoryEmbedding, PairTable, RadialBasis, TimeEmbedding
from models.structure import PaddedBatch

_QUADRUPLE_CHANNELS = 4  # one volume and one gradient per point
_FRAME_POINTS = 3
_SIGHT_ANG = 4.0  # places in a frame are bounded softly from this distance on
NEIGHBOURS = (-4, -3, -2, -1, 1, 2, 3, 4)  # places along the chain that a token sees in full
REACH = 4
_BEGIN_FEATURES = 3  # begin, its square, and whether it is above 0


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the network, saved beside its weights.

    Attributes:
        token_sizes: Categories in each token feature column.
        pair_sizes: Digits of the pair code.
        points_per_token: K.
        anchor: Which of the K points stands for the token in pair distances.
        channels: Width of the token stream.
        heads: Attention heads.
        layers: Transformer layers.
        pair_channels: Width of the pair stream, which is computed once per evaluation.
        radial: Gaussians per distance.
        cutoff_ang: Distance of the last Gaussian, Å.
        expansion: Width of the transition over the width of the stream.
        self_conditioning: Whether the previous guess is an input.
        noise_std_ang: Standard deviation of a prior coordinate, Å; sets the preconditioning.
        data_std_ang: Standard deviation of a data coordinate, Å; sets the preconditioning.
        offset_std_ang: The same for a point as seen from its token's anchor, Å; 0 treats every point alike.
        frames: Whether pairs of tokens also see each other's place in the frame of their first three points.
        noise_offset_std_ang: Standard deviation of pure noise as seen from its token's anchor, Å; 0 for independent
            points, of which it is that of a difference.
        local: Whether coordinates come and go in the frames of the tokens; needs `frames` and `offset_std_ang`.
        contacts: Tokens near in space that each token hears beside attention; needs `local`, and 0 leaves them out.
        contact_channels: Width of what it hears.
        warm_starts: Whether the network is told when its path began, so that it can be trained on paths that begin at
            a guess.
    """

    token_sizes: tuple[int, ...]
    pair_sizes: tuple[int, ...]
    points_per_token: int = 1
    anchor: int = 0
    channels: int = 192
    heads: int = 6
    layers: int = 6
    pair_channels: int = 32
    radial: int = 16
    cutoff_ang: float = 10.0
    expansion: int = 4
    self_conditioning: bool = True
    noise_std_ang: float = 1.2
    data_std_ang: float = 1.4
    offset_std_ang: float = 0.0
    frames: bool = False
    noise_offset_std_ang: float = 0.0
    local: bool = False
    contacts: int = 0
    contact_channels: int = 64
    warm_starts: bool = False

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        if self.frames and self.points_per_token < _FRAME_POINTS:
            raise DataError(f"frames need 3 points per token or more; points_per_token is {self.points_per_token}")
        if self.local and not (self.frames and self.offset_std_ang):
            raise DataError("local needs frames and an offset_std_ang above 0")
        if self.contacts < 0 or (self.contacts and not self.local):
            raise DataError(f"contacts is {self.contacts}; allowed: 0, or above 0 with local")
        if not 0 <= self.anchor < self.points_per_token:
            raise DataError(f"anchor is {self.anchor}; allowed: 0 to {self.points_per_token - 1}")


def data_stds(config: DenoiserConfig) -> Tensor:
    """Standard deviation of each point's coordinate, or of its offset from the anchor, Å.  [K, 1]"""
    stds = torch.full((config.points_per_token, 1), config.offset_std_ang or config.data_std_ang)
    stds[config.anchor] = config.data_std_ang
    return stds


def noise_stds(config: DenoiserConfig) -> Tensor:
    """The same of pure noise; the difference of two points has twice the variance of one, Å.  [K, 1]"""
    stds = torch.full((config.points_per_token, 1), config.noise_std_ang)
    if config.offset_std_ang:
        stds[:] = config.noise_offset_std_ang or 2**0.5 * config.noise_std_ang
        stds[config.anchor] = config.noise_std_ang
    return stds


class Denoiser(nn.Module):
    """Raw network of the preconditioned denoiser; see `models.networks.preconditioning`."""

    guess_scale: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("guess_scale", 1 / data_stds(config), persistent=False)
        coordinates = 3 * config.points_per_token
        inputs = 2 if config.self_conditioning else 1
        per_point = coordinates + _QUADRUPLE_CHANNELS * config.points_per_token
        if config.local:
            per_point = (1 + len(NEIGHBOURS)) * coordinates
        self.embed_time = TimeEmbedding(config.channels)
        self.embed_begin = nn.Linear(_BEGIN_FEATURES, config.channels, bias=False) if config.warm_starts else None
        self.embed_tokens = CategoryEmbedding(config.token_sizes, config.channels)
        self.embed_points = nn.Linear(inputs * per_point, config.channels)
        self.pair_table = PairTable(config.pair_sizes, config.pair_channels)
        self.radial = RadialBasis(config.radial, config.cutoff_ang)
        per_pair = config.radial + (3 if config.frames else 0)
        self.embed_distance = nn.Linear(inputs * per_pair, config.pair_channels, bias=False)
        self.time_to_pair = nn.Linear(config.channels, config.pair_channels)
        self.pair_to_bias = nn.Linear(config.pair_channels, config.layers * config.heads, bias=False)
        positions = inputs * config.points_per_token if config.local else 1
        self.blocks = nn.ModuleList(
            Block(config.channels, config.heads, config.expansion, positions) for _ in range(config.layers)
        )
        self.contact_edges = None
        if config.contacts:
            self.contact_edges = ContactEdges(
                config.contacts, REACH, config.points_per_token, config.anchor, inputs, config.channels,
                config.contact_channels,
            )  # fmt: skip
            self.contact_messages = nn.ModuleList(
                ContactMessages(config.channels, config.contact_channels, config.contacts) for _ in range(config.layers)
            )
        self.norm = nn.LayerNorm(config.channels, elementwise_affine=False)
        self.modulation = nn.Linear(config.channels, 2 * config.channels)
        self.read_out = nn.Linear(config.channels, coordinates)
        for layer in (self.modulation, self.read_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if self.embed_begin is not None:
            nn.init.zeros_(self.embed_begin.weight)

    def forward(self, batch: PaddedBatch, x: Tensor, t: Tensor, begin: Tensor, guess: Tensor, scale: Tensor) -> Tensor:
        """Raw output F of the preconditioned denoiser.

        Args:
            batch: Features.
            x: Centred coordinates at time t, Å.  [B, N*K, 3]
            t: Time of each sample.  [B]
            begin: Time at which the path of each sample began.  [B]
            guess: Previous guess of the clean structure, Å; zero when there is none.  [B, N*K, 3]
            scale: Factor that brings each point (with `offset_std_ang`, its offset) to unit deviation, 1/Å.
                [B, 1, 1 or K, 1]

        Returns:
            Update in units of the data's deviation.  [B, N*K, 3]
        """
        config = self.config
        shape = (*batch.tokens.shape[:2], config.points_per_token, 3)
        condition = self.embed_time(t)
        if self.embed_begin is not None:  # nothing is added for paths from noise, which begin at 0
            condition = condition + self.embed_begin(torch.stack((begin, begin.square(), (begin > 0).to(x)), dim=-1))
        sources = (x, guess) if config.self_conditioning else (x,)
        frames = build_frames(x.view(shape)) if config.local else None
        if frames is not None:
            inputs = self._local_inputs(batch, [source.view(shape) for source in sources], frames, scale)
            position, origin = self._local_positions([source.view(shape) for source in sources], scale)
        else:
            inputs = [self._point_inputs(batch, source, scale if k == 0 else None) for k, source in enumerate(sources)]
            position = origin = (scale * x.view(shape))[:, :, config.anchor]
        h = self.embed_tokens(batch.tokens) + self.embed_points(torch.cat(inputs, dim=-1))
        condition = nn.functional.silu(condition)
        bias = self._pair_bias(batch, sources, condition)
        near = None
        if self.contact_edges is not None:
            points = [source.view(shape) for source in sources]
            axes = [build_frames(source) for source in points]
            near = self.contact_edges(points, axes, batch.token_mask, condition)
        for number, (block, layer_bias) in enumerate(zip(self.blocks, bias.unbind(1), strict=True)):
            if near is not None:
                h = h + self.contact_messages[number](self.norm(h), *near)
            h = block(h, condition, layer_bias, position, origin, frames)
        shift, gain = self.modulation(condition).chunk(2, dim=-1)
        out = self.read_out(modulate(self.norm(h), shift, gain))
        if frames is not None:
            out = out.reshape(shape) @ frames
        return out.reshape(x.shape)

    def _local_inputs(self, batch: PaddedBatch, sources: list[Tensor], frames: Tensor, scale: Tensor) -> list[Tensor]:
        """Each token's points, the middle of the structure and its neighbours in the chain, as seen from its frame.

        The anchor stands where its own source has it; only of a guess that says something new, its shift from the
        noisy anchor.  [B, N, K, 3] each -> [B, N, 3K*(1+neighbours)] each
        """
        anchor = self.config.anchor
        middle = sources[0][:, :, anchor]
        size = middle.shape[1]
        seen = []
        for number, source in enumerate(sources):
            own = source[:, :, anchor : anchor + 1]
            known = 1.0 if number == 0 else (source != 0).any(dim=(1, 2, 3), keepdim=True).to(source)
            shift = -own if number == 0 else (own - middle.unsqueeze(2)) * known
            unit = scale if number == 0 else self.guess_scale
            points = torch.cat((source[:, :, :anchor] - own, shift, source[:, :, anchor + 1 :] - own), dim=2) * unit
            widened = nn.functional.pad(source, (0, 0, 0, 0, REACH, REACH))
            there = nn.functional.pad(batch.token_mask, (REACH, REACH))[:, :, None, None].to(source)
            around = [
                (widened[:, REACH + far : REACH + far + size] - own) * there[:, REACH + far : REACH + far + size]
                for far in NEIGHBOURS
            ]
            near = torch.stack(around, dim=2)
            near = near / (_SIGHT_ANG + near.norm(dim=-1, keepdim=True))
            vectors = torch.cat((points.unsqueeze(2), near), dim=2).flatten(2, 3) @ frames.mT
            seen.append(vectors.flatten(2))
        return seen

    def _local_positions(self, sources: list[Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled positions of all points of all sources, and the anchors they are seen from.  [B, N, 3*S] each"""
        anchor = self.config.anchor
        units = (scale[:, :, anchor : anchor + 1], self.guess_scale[anchor])
        scaled = [source * unit for source, unit in zip(sources, units, strict=False)]
        origin = [part[:, :, anchor : anchor + 1].expand_as(part) for part in scaled]
        return torch.cat(scaled, dim=2).flatten(2), torch.cat(origin, dim=2).flatten(2)

    def _point_inputs(self, batch: PaddedBatch, x: Tensor, scale: Tensor | None) -> Tensor:
        """Coordinates and oriented volumes of each token's points.  [B, N*K, 3] -> [B, N, 7K]"""
        volume, gradient = signed_volumes(x, batch.quadruples)
        weight = batch.quadruple_mask.to(x.dtype)[:, :, None, None]
        volume = (volume / (1 + volume.abs()))[:, :, None, None].expand(-1, -1, 4, 1)
        gradient = gradient / (1 + gradient.norm(dim=-1, keepdim=True))
        marks = (torch.cat((volume, gradient), dim=-1) * weight).flatten(1, 2)
        index = batch.quadruples.flatten(1).unsqueeze(-1).expand(-1, -1, _QUADRUPLE_CHANNELS)
        handed = x.new_zeros(*x.shape[:2], _QUADRUPLE_CHANNELS).scatter_add(1, index, marks)
        config = self.config
        points = x.view(*batch.tokens.shape[:2], config.points_per_token, 3)
        points = to_offsets(points, config.anchor) if config.offset_std_ang else points
        points = points * (self.guess_scale if scale is None else scale)
        return torch.cat((points.view(x.shape), handed), dim=-1).view(*batch.tokens.shape[:2], -1)

    def _pair_bias(self, batch: PaddedBatch, sources: tuple[Tensor, ...], condition: Tensor) -> Tensor:
        """Bias of every layer at once, minus infinity at padded keys.  -> [B, layers, H, N, N]"""
        config = self.config
        count = batch.tokens.shape[1]
        seen = []
        for source in sources:
            points = source.view(-1, count, config.points_per_token, 3)
            distance = pair_distances(points[:, :, config.anchor])
            seen.append(self.radial(distance))
            if config.frames:
                place = local_positions(build_frames(points), points[:, :, config.anchor])
                seen.append(place / (_SIGHT_ANG + distance.unsqueeze(-1)))
        pair = self.pair_table()[batch.pairs] + self.embed_distance(torch.cat(seen, dim=-1))
        pair = nn.functional.silu(pair + self.time_to_pair(condition)[:, None, None, :])
        bias = self.pair_to_bias(pair).view(-1, count, count, config.layers, config.heads).permute(0, 3, 4, 1, 2)
        return bias.masked_fill(~batch.token_mask[:, None, None, None, :], float("-inf"))
