from dataclasses import asdict, fields

import numpy as np
import pytest

from models.backbone import BackboneReport
from models.data.quality import BackboneQuality, measure_backbones
from models.data.report import report_backbones


def test_report_has_every_figure_of_the_quality(backbones):
    x = backbones.chain(0)
    assert {f.name for f in fields(BackboneQuality)} - {"faults"} < {f.name for f in fields(BackboneReport)}
    report, quality = report_backbones(x[None])[0], measure_backbones(x[None])
    for name, value in vars(quality).items():
        if name != "faults":
            assert getattr(report, name) == value[0], name
    assert report.helix + report.strand + report.coil == pytest.approx(1)
    assert (report.passed, report.fault) == (quality.faults[0] is None, quality.faults[0])


def test_reports_do_not_depend_on_company(backbones):
    x = backbones.chain(0)
    rough = x + np.random.default_rng(0).normal(0, 0.3, x.shape).astype(np.float32)
    nan = x.copy()
    nan[3, 0, 0] = np.nan
    together = report_backbones(np.stack((x, rough, nan)))
    for one, report in zip((x, rough, nan), together, strict=True):
        alone = asdict(report_backbones(one[None])[0])
        assert report.fault == alone.pop("fault")
        assert {name: getattr(report, name) for name in alone} == pytest.approx(alone, rel=1e-4)
    assert [report.passed for report in together] == [True, False, False]
    assert together[2].fault == "not_finite"


def test_report_is_plain_numbers_even_if_the_backbone_is_not_finite(backbones):
    x = np.full((1, 12, 4, 3), np.inf, np.float32)
    values = asdict(report_backbones(x)[0])
    assert values["fault"] == "not_finite" and not values["passed"]
    assert values["helix"] == values["strand"] == values["coil"] == 0
    assert all(type(v) in (int, float, bool, str) for v in values.values())
    assert all(np.isfinite(v) for v in values.values() if not isinstance(v, str))
