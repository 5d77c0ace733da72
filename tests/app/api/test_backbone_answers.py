from types import SimpleNamespace

import numpy as np
import pytest

from app.api.backbone_answers import count_backbones
from app.telemetry.metrics import Metrics
from models.backbone import Backbone, BackboneEnsemble
from models.data.report import report_backbones


@pytest.fixture
def ensemble():
    """A length of which so many samples were made."""
    x = np.zeros((1, 12, 4, 3), np.float32)
    (report,) = report_backbones(x)

    def build(made, reason=None):
        return BackboneEnsemble(0, "x", 12, tuple(Backbone(k, x[0], report, 1, None) for k in range(made)), reason, "")

    return build


def test_every_length_is_counted_with_the_reason_of_what_is_missing(ensemble):
    metrics, order = Metrics(), SimpleNamespace(count=4)
    count_backbones(metrics, order, [ensemble(4), ensemble(1, "clash"), ensemble(0, "out_of_memory"), ensemble(3)])
    totals = metrics.totals()
    assert totals["backbones"] == {"all": 8}
    assert totals["failures"] == {"clash": 3, "out_of_memory": 4, "stopped": 1}
