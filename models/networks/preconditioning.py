"""Scalings around the raw network, so that the sampler only sees `denoise(x, t)`; picks the precision."""

import torch
from torch import Tensor, nn

from models.networks.denoiser import Denoiser, DenoiserConfig
from models.structure import PaddedBatch


class PreconditionedDenoiser(nn.Module):
    """Guess of the clean structure, D = c_skip x + c_out F(c_in x, t).

    For independent noise and data of standard deviations a and s, x_t has the variance (1-t)^2 a^2 + t^2 s^2.  The
    scalings make input and target of F of unit size at every t and amplify its errors least (Karras et al. 2022,
    appendix B.6, for the straight path).
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Denoiser(config)

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
        noise_std, data_std = self.config.noise_std_ang, self.config.data_std_ang
        time = t.to(x.dtype)[:, None, None]
        variance = ((1 - time) * noise_std).square() + (time * data_std).square()
        c_skip = time * data_std**2 / variance
        c_out = (1 - time) * noise_std * data_std * variance.rsqrt()
        guess = torch.zeros_like(x) if guess is None else guess
        begin = torch.zeros_like(t) if begin is None else begin
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            raw = self.network(batch, x, t.to(x.dtype), begin.to(x.dtype), guess, variance.rsqrt())
        mask = batch.token_mask.repeat_interleave(self.config.points_per_token, dim=1).unsqueeze(-1)
        return (c_skip * x + c_out * raw.to(x.dtype)) * mask
