import time
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.data.datasets import ReferenceMolecule
from models.data.molecule import build_molecules, read_smiles
from models.errors import DataError
from models.evaluation.baseline import EMBEDDED, RELAXED, embed
from models.evaluation.case import read_cases
from models.evaluation.draw import draw_samples
from models.evaluation.run import FIRST_DRAW, SERVED, EvaluationConfig, evaluate
from models.options import SampleOptions
from models.structure import PaddedBatch
from models.weights import Model, build_model

OPTIONS = SampleOptions(steps=4, quotient=False)


class Oracle(nn.Module):
    """Knows one molecule: guesses its reference conformer, or its mirror image for every other sample."""

    def __init__(self, x: np.ndarray, mirror: bool = False) -> None:
        super().__init__()
        self.config = SimpleNamespace(points_per_token=1)
        self.x, self.mirror, self.calls = torch.from_numpy(x - x.mean(0)).float(), mirror, 0

    def forward(self, batch: PaddedBatch, x: Tensor, t: Tensor, guess: Tensor, half: bool, begin: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[:, : len(self.x)] = self.x
        self.calls += 1
        if self.mirror and self.calls <= OPTIONS.steps:  # the first batch only
            out[::2, :, 0] *= -1
        return out


def oracle(smiles: str, mirror: bool = False) -> tuple[Model, ReferenceMolecule]:
    mol = build_molecules(read_smiles(smiles), 0)[0].mol
    x, _ = embed(mol, 1, 5, 20)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    training = {"prior": "gaussian", "prior_std_ang": 1.0, "coupling": "none"}
    model = build_model("oracle", Oracle(x[0], mirror), training, {}, torch.device("cpu"))  # type: ignore[arg-type]
    return model, ReferenceMolecule(smiles, numbers, np.repeat(x, 3, axis=0).astype(np.float32))


def test_model_that_knows_the_answer_covers_everything() -> None:
    model, reference = oracle("C[C@H](F)Cl")
    config = EvaluationConfig(baseline=False, processes=1)
    result = evaluate(model, [reference], OPTIONS, config, time.perf_counter)
    assert [row.name for row in result.rows] == [FIRST_DRAW, SERVED]
    for row in result.rows:
        (score,) = row.scores
        assert (score.samples, score.requested, score.validity.valid) == (6, 6, 6)
        assert max(score.recall_ang + score.precision_ang) < 1e-3
        assert row.seconds > 0
    assert result.rows[1].scores[0].counts == {"attempts": 6}
    assert result.checking_s > 0


def test_first_draw_keeps_faulty_structures_and_served_replaces_them() -> None:
    model, reference = oracle("C[C@H](F)Cl", mirror=True)
    config = EvaluationConfig(baseline=False, processes=1)
    first, served = (row.scores[0] for row in evaluate(model, [reference], OPTIONS, config, time.perf_counter).rows)
    assert (first.samples, first.validity.valid) == (6, 3)
    assert (first.validity.centres, first.validity.centres_right) == (6, 3)
    assert (served.samples, served.validity.valid, served.counts) == (6, 6, {"attempts": 9})


def test_molecules_that_fail_keep_their_place_in_every_row() -> None:
    model, reference = oracle("CCO")
    broken = ReferenceMolecule("C(C", np.zeros(1), np.zeros((2, 1, 3)))
    config = EvaluationConfig(processes=1)
    result = evaluate(model, [broken, reference], OPTIONS, config, time.perf_counter)
    assert [row.name for row in result.rows] == [FIRST_DRAW, SERVED, EMBEDDED, RELAXED]
    for row in result.rows:
        assert [score.failure for score in row.scores] == ["unreadable", None]
        assert row.scores[0].requested == 4 and row.scores[1].samples == 6


def test_sampler_is_timed_without_the_checks() -> None:
    model, reference = oracle("CCO")
    ticks = iter(range(1000))
    drawn = draw_samples(model, read_cases([reference], 20, None, 0), OPTIONS, lambda: float(next(ticks)))
    # The clock is read at the start, after each of 4 steps, after the checks, and at the end.
    assert (drawn.first_s, drawn.sampling_s, drawn.total_s) == (4, 4, 6)


def test_progress_reaches_the_total_of_every_phase() -> None:
    model, reference = oracle("CCO")
    seen: dict[str, tuple[int, int]] = {}
    evaluate(
        model,
        [reference],
        OPTIONS,
        EvaluationConfig(processes=1),
        time.perf_counter,
        lambda phase, done, total: seen.update({phase: (done, total)}),
    )
    assert len(seen) == 4 and all(done == total for done, total in seen.values())


@pytest.mark.parametrize(
    "wrong",
    [{"max_references": 0}, {"max_molecules": 0}, {"processes": 0}, {"thresholds_ang": ()},
     {"thresholds_ang": (0.5, -1.0)}, {"seed": -1}],
)  # fmt: skip
def test_settings_that_cannot_be_measured_are_refused(wrong: dict) -> None:
    with pytest.raises(DataError, match=next(iter(wrong)).removesuffix("_ang")):
        EvaluationConfig(**wrong)


def test_processes_give_the_same_numbers_as_one() -> None:
    model, reference = oracle("CCO")
    both = [evaluate(model, [reference], OPTIONS, EvaluationConfig(processes=n), time.perf_counter) for n in (1, 2)]
    for one, two in zip(both[0].rows, both[1].rows, strict=True):
        first, second = ({**asdict(row.scores[0]), "seconds": None} for row in (one, two))
        assert first == second
