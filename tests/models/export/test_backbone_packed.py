from dataclasses import replace

import numpy as np

from models.backbone import BackboneEnsemble
from models.export.backbone_packed import from_packed_backbones, to_packed_backbones


def test_packed_backbones_come_back_equal(sampled):
    empty = BackboneEnsemble(1, "none", 64, (), "clash", "every draw failed", 2)
    ensembles = [sampled(20, 3, "name, with\ttab", 0.25), empty, sampled(33)]
    again = from_packed_backbones(to_packed_backbones(ensembles))
    for new, old in zip(again, ensembles, strict=True):
        assert replace(new, samples=()) == replace(old, samples=())
        assert len(new.samples) == len(old.samples)
        for a, b in zip(new.samples, old.samples, strict=True):
            assert a.coordinates.dtype == np.float32
            assert np.array_equal(a.coordinates, b.coordinates)
            assert replace(a, coordinates=None) == replace(b, coordinates=None)
