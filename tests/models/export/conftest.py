from collections.abc import Callable

import numpy as np
import pytest

from models.backbone import Backbone, BackboneEnsemble, BackboneReport
from models.data.report import report_backbones


@pytest.fixture(scope="session")
def sampled(backbones) -> Callable[..., BackboneEnsemble]:
    """Ensemble of any length, cut from one natural chain or made up, each sample slightly different."""
    longest = backbones.chain(int(backbones.lengths.argmax()))
    report = report_backbones(longest[None])[0]

    def build(length: int, count: int = 1, name: str = "x", motif: float | None = None) -> BackboneEnsemble:
        x = longest[:length]
        if len(x) < length:
            x = np.random.default_rng(0).normal(size=(length, 4, 3), scale=20).astype(np.float32)
        samples = tuple(Backbone(100 + k, x + np.float32(0.1 * k), report, 1 + k, motif) for k in range(count))
        assert isinstance(report, BackboneReport)
        return BackboneEnsemble(0, name, length, samples, None, "")

    return build
