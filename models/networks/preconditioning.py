"""Scalings around the raw network, so that the sampler only sees `denoise(x, t)`; picks the precision."""

import torch
from torch import Tensor, nn

from models.geometry.frames import from_offsets, to_offsets
from models.networks.denoiser import Denoiser, DenoiserConfig, data_stds, noise_stds
from models.structure import PaddedBatch


class PreconditionedDenoiser(nn.Module):
    """Guess of the clean structure, D = c_skip x + c_out F(c_in x, t).

    For independent noise and data of standard deviations a and s, x_t has the variance (1-t)^2 a^2 + t^2 s^2.  The
    scalings make input and target of F of unit size at every t and amplify its errors least (Karras et al. 2022,
    appendix B.6, for the straight path).  With `offset_std_ang` they are taken for the anchor of each token and for the
    offsets of its other points, which are much smaller than the whole structure.
    """

    noise_std: Tensor
    data_std: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Denoiser(config)
        self.register_buffer("noise_std", noise_stds(config), persistent=False)
        self.register_buffer("data_std", data_stds(config), persistent=False)

    def forward(
        self,
        batch: PaddedBatch,
        x: Tensor,
        t: Tensor,
        guess: Tensor | None = None,
        half: bool = False,
        begin: Tensor | None = None,
    ) -> Tensor:
        """Guess the clean structure.

        Args:
            batch: Features.
            x: Centred coordinates at time t, Å.  [B, N*K, 3]
            t: Time of each sample.  [B]
            guess: Previous guess, Å.  [B, N*K, 3]
            half: Run matrix products in bfloat16.
            begin: Time at which the path of each sample began; 0 by default.  [B]

        Returns:
            Guess of the clean structure, Å.  [B, N*K, 3]
        """
        config = self.config
        shape = (*batch.tokens.shape[:2], config.points_per_token, 3)
        noise_std, data_std = self.noise_std, self.data_std
        time = t.to(x.dtype)[:, None, None, None]
        variance = ((1 - time) * noise_std).square() + (time * data_std).square()
        c_skip = time * data_std.square() / variance
        c_out = (1 - time) * noise_std * data_std * variance.rsqrt()
        guess = torch.zeros_like(x) if guess is None else guess
        begin = torch.zeros_like(t) if begin is None else begin
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            raw = self.network(batch, x, t.to(x.dtype), begin.to(x.dtype), guess, variance.rsqrt())
        points = x.view(shape)
        points = to_offsets(points, config.anchor) if config.offset_std_ang else points
        clean = c_skip * points + c_out * raw.to(x.dtype).view(shape)
        clean = from_offsets(clean, config.anchor) if config.offset_std_ang else clean
        return (clean * batch.token_mask[..., None, None]).view(x.shape)
