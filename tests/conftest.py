"""Fixtures that several test files share: seeds, devices, point sets, and data whose denoiser is known exactly."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)  # the tensors are tiny, and workers of a parallel run would fight for cores


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def forbid_sync() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Context in which any operation that makes the host wait for the GPU raises."""

    @contextlib.contextmanager
    def context() -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")

    return context


@pytest.fixture
def pad() -> Callable[..., tuple[Tensor, Tensor]]:
    """Stack point sets of different size; `fill` is what the padding holds."""

    def stack(sets: list[Tensor], fill: float = 0.0, size: int = 0) -> tuple[Tensor, Tensor]:
        size = max(size, *(len(points) for points in sets))
        x = torch.full((len(sets), size, 3), fill, dtype=sets[0].dtype, device=sets[0].device)
        mask = torch.zeros(len(sets), size, dtype=torch.bool, device=x.device)
        for row, points in enumerate(sets):
            x[row, : len(points)] = points
            mask[row, : len(points)] = True
        return x, mask

    return stack


@pytest.fixture
def clouds(pad: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Centred random point sets of 3, 4, 7 and 12 points.  [4, 12, 3] float64, [4, 12]"""
    sets = [torch.randn(count, 3, dtype=torch.float64) for count in (3, 4, 7, 12)]
    return pad([points - points.mean(0) for points in sets])


@pytest.fixture(params=["H2", "CO2", "HCCH", "HCN"])
def rod(request: pytest.FixtureRequest) -> Tensor:
    """A linear molecule in a skew direction, centred.  [N, 3] float64"""
    places = {
        "H2": (0.0, 0.741),
        "CO2": (-1.16, 0.0, 1.16),
        "HCCH": (-1.664, -0.602, 0.602, 1.664),
        "HCN": (-1.064, 0.0, 1.156),
    }[request.param]
    direction = torch.tensor([2.0, -3.0, 6.0], dtype=torch.float64) / 7
    along = torch.tensor(places, dtype=torch.float64)
    return (along - along.mean())[:, None] * direction


class ShapeMixture:
    """Equal mixture of centred Gaussians, covariance A_k between points, seen through the prior N(0, prior_std^2).

    The density depends on x^T x alone, so it is invariant under rotation; denoiser and log density are exact.
    """

    def __init__(self, covariances: Tensor, prior_std: float = 1.0) -> None:
        values, modes = torch.linalg.eigh(covariances)
        self.values, self.modes = values[:, 1:], modes[:, :, 1:]  # the first mode is the centre of mass
        self.prior_std = prior_std

    def _variance(self, t: Tensor) -> Tensor:
        """Variance of each mode at `t`.  [B] -> [K, B, N-1]"""
        t = t[None, :, None]
        return t**2 * self.values[:, None] + (1 - t) ** 2 * self.prior_std**2

    def _parts(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        along = torch.einsum("knm,bnd->kbmd", self.modes, x)
        variance = self._variance(t)
        return along, -0.5 * (along.square().sum(-1) / variance + 3 * variance.log()).sum(-1)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """E[x_data | x_t = x]"""
        along, logs = self._parts(x, t)
        gain = t[None, :, None] * self.values[:, None] / self._variance(t)
        guesses = torch.einsum("knm,kbmd->kbnd", self.modes, gain[..., None] * along)
        return (logs.softmax(0)[:, :, None, None] * guesses).sum(0)

    def log_density(self, x: Tensor, t: Tensor) -> Tensor:
        """Log density of x_t up to a constant.  [B]"""
        return self._parts(x, t)[1].logsumexp(0)

    def flow(self, x_noise: Tensor, t: Tensor) -> Tensor:
        """Where the ODE takes `x_noise` by `t`; only for one component."""
        gain = self._variance(t)[0].sqrt() / self.prior_std
        return torch.einsum("nm,bm,lm,bld->bnd", self.modes[0], gain, self.modes[0], x_noise)

    def draw(self, count: int) -> Tensor:
        """Samples of the data.  [count, N, 3]"""
        which = torch.arange(count) % len(self.values)
        white = torch.randn(count, self.values.shape[1], 3, dtype=self.values.dtype)
        return torch.einsum("bnm,bmd->bnd", self.modes[which], self.values[which].sqrt()[..., None] * white)


@pytest.fixture
def shape_mixture() -> type[ShapeMixture]:
    return ShapeMixture


@pytest.fixture
def springs() -> Tensor:
    """Covariance of a chain of four points held by springs, and of a tight ball of four.  [2, 4, 4] float64"""
    laplacian = torch.tensor([[1, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 2, -1], [0, 0, -1, 1]], dtype=torch.float64)
    ball = torch.eye(4, dtype=torch.float64) - 0.25
    return torch.stack((1.5 * torch.linalg.pinv(laplacian), 0.15 * ball))
