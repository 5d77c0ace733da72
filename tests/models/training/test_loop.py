from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import DataError
from models.networks.preconditioning import PreconditionedDenoiser
from models.training.loop import (
    Progress,
    build_optimizers,
    half_is_faster,
    learning_rate_factor,
    load_initial,
    train,
)
from models.training.sample import ResidentSet

CPU = torch.device("cpu")


class KilledError(Exception):
    """Stands for a kill: the run ends at once and saves nothing."""


def ticking(seconds=1.0):
    """Clock that moves on by the same time with each look."""
    ticks = count()
    return lambda: seconds * next(ticks)


def run(data, config, folder, **options):
    options = {"clock": ticking(), "on_log": lambda record: None, "half": False, **options}
    return train([ResidentSet(block, CPU) for block in data], config, folder, CPU, **options)


def stop_after(steps, error=None):
    """`should_stop` that ends a piece of a run after some steps, or kills it."""
    asked = count()

    def should_stop():
        if next(asked) < steps:
            return False
        if error:
            raise error
        return True

    return should_stop


def weights(folder):
    return {name: load_file(folder / f"{name}.safetensors") for name in ("weights", "average")}


def same(first, second):
    return all(torch.equal(first[part][name], second[part][name]) for part in first for name in first[part])


@pytest.mark.parametrize(
    ("loss", "coupling", "prior"),
    [("quotient", "kabsch", "harmonic"), ("plain", "none", "gaussian"), ("aligned", "none", "gaussian")],
)
def test_stopped_and_resumed_run_ends_with_the_same_weights(tmp_path, packed, train_config, loss, coupling, prior):
    config = train_config(budget_s=14.0, loss=loss, coupling=coupling, prior=prior)
    whole = run(packed, config, tmp_path / "whole")
    assert whole.step == 14
    for steps in (3, 6):
        assert run(packed, config, tmp_path / "parts", should_stop=stop_after(steps)).step in (3, 9)
    assert run(packed, config, tmp_path / "parts") == whole
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_run_in_turns_ends_with_the_same_weights(tmp_path, packed, train_config):
    config = train_config(budget_s=9.0)
    whole = run(packed, config, tmp_path / "whole")
    for until_s in (4.0, 4.0, 7.0):
        assert run(packed, config, tmp_path / "parts", until_s=until_s).elapsed_s == until_s
    assert run(packed, config, tmp_path / "parts") == whole
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_killed_and_resumed_run_ends_with_the_same_weights(tmp_path, packed, train_config):
    config = train_config(budget_s=50.0 * 12, matrix_learning_rate=0.003)
    whole = run(packed, config, tmp_path / "whole", clock=ticking(50.0))
    with pytest.raises(KilledError):
        run(packed, config, tmp_path / "parts", clock=ticking(50.0), should_stop=stop_after(7, KilledError()))
    assert (tmp_path / "parts" / "progress.json").is_file()  # saved after 150 s, three steps
    resumed = []
    on_log = resumed.append
    assert run(packed, config, tmp_path / "parts", clock=ticking(50.0), on_log=on_log) == whole
    assert same(weights(tmp_path / "parts"), weights(tmp_path / "whole"))


def test_seed_decides_the_weights(tmp_path, packed, train_config):
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(packed, train_config(budget_s=4.0, seed=seed), tmp_path / name)
        results.append(weights(tmp_path / name))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_finished_run_is_not_trained_again(tmp_path, packed, train_config):
    config = train_config(budget_s=3.0)
    done = run(packed, config, tmp_path / "run")
    before = weights(tmp_path / "run")
    assert run(packed, config, tmp_path / "run") == done
    assert same(weights(tmp_path / "run"), before)
    assert run(packed, replace(config, budget_s=5.0), tmp_path / "run").step == 5


def test_training_lowers_the_loss(tmp_path, packed, train_config, monkeypatch):
    monkeypatch.setattr("models.training.loop.LOG_EVERY", 30)
    records = []
    config = train_config(budget_s=120.0, tokens_per_step=160, learning_rate=0.02, matrix_learning_rate=0.05)
    progress = run(packed, config, tmp_path / "run", on_log=records.append)
    losses = [record["loss"] for record in records]
    assert [record["step"] for record in records] == [30, 60, 90, 120]
    assert losses[-1] < 0.8 * losses[0], losses
    assert progress == Progress(120, 120.0, records[-1]["conformers"])
    assert records[0]["conformers_per_s"] == records[0]["conformers"] / 30
    assert set(records[0]) == {"step", "elapsed_s", "conformers", "loss", "conformers_per_s", "learning_rate"}


def test_loss_that_is_not_finite_ends_the_run(tmp_path, packed, train_config, monkeypatch):
    monkeypatch.setattr("models.training.loop.LOG_EVERY", 5)
    broken = [replace(block, coordinates=np.full_like(block.coordinates, np.nan)) for block in packed]
    with pytest.raises(DataError, match="not finite at step 5; lower learning_rate"):
        run(broken, train_config(budget_s=10.0), tmp_path / "run")


def test_weights_that_are_not_finite_are_never_saved(tmp_path, packed, train_config):
    broken = [replace(block, coordinates=np.full_like(block.coordinates, np.nan)) for block in packed]
    with pytest.raises(DataError, match="not finite"):
        run(broken, train_config(budget_s=3.0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_every_weight_has_one_optimiser(tiny_config, train_config, rate):
    module = PreconditionedDenoiser(tiny_config())
    optimizers = build_optimizers(module, train_config(matrix_learning_rate=rate))
    assert [type(o).__name__ for o in optimizers] == (["AdamW", "Muon"] if rate else ["AdamW"])
    owned = [id(p) for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in module.parameters())
    assert all(group["peak_lr"] == group["lr"] for o in optimizers for group in o.param_groups)


def test_muon_takes_the_matrices_of_the_layers_only(tiny_config, train_config):
    module = PreconditionedDenoiser(tiny_config())
    _, muon = build_optimizers(module, train_config())
    taken = {id(p) for group in muon.param_groups for p in group["params"]}
    names = {name.split(".", 3)[-1] for name, p in module.named_parameters() if id(p) in taken}
    assert names == {
        "attention.project_in.weight", "attention.project_out.weight", "attention.project_offset.weight",
        "transition.0.weight", "transition.2.weight",
    }  # fmt: skip


def test_learning_rate_warms_up_stays_and_falls_to_zero(train_config):
    config = train_config(warmup_steps=10, budget_s=100.0, decay_share=0.4)
    assert learning_rate_factor(0, 0.0, config) == pytest.approx(0.1)
    assert learning_rate_factor(9, 0.0, config) == learning_rate_factor(500, 60.0, config) == 1.0
    assert learning_rate_factor(500, 80.0, config) == pytest.approx(0.5)
    assert learning_rate_factor(500, 100.0, config) == learning_rate_factor(500, 120.0, config) == 0.0


@pytest.mark.parametrize(("full", "half"), [(2.0, 1.0), (1.0, 2.0)])
def test_precision_is_chosen_by_the_clock(monkeypatch, full, half):
    looks, now, ones = count(), [0.0], torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, **options: ones(2, 2, **options))

    def clock():
        number = next(looks)
        if number % 2:
            now[0] += full if number < 40 else half
        return now[0]

    assert half_is_faster(CPU, clock) == (half < full)


def test_network_without_self_conditioning_trains(tmp_path, packed, tiny_config, train_config):
    config = train_config(network=tiny_config(self_conditioning=False), budget_s=2.0)
    assert run(packed, config, tmp_path / "run").step == 2


def test_training_starts_from_given_weights(tmp_path, packed, train_config, tiny_config):
    known = PreconditionedDenoiser(tiny_config())
    with torch.no_grad():
        known.network.read_out.weight.normal_()
    save_file(known.state_dict(), tmp_path / "known.safetensors")
    fresh = PreconditionedDenoiser(tiny_config(warm_starts=True))
    load_initial(fresh, tmp_path / "known.safetensors")
    assert torch.equal(fresh.network.read_out.weight, known.network.read_out.weight)
    assert not fresh.network.embed_begin.weight.any()
    config = train_config(
        budget_s=1.0, learning_rate=0.0, matrix_learning_rate=0.0, initial=str(tmp_path / "known.safetensors")
    )
    run(packed, config, tmp_path / "run")
    saved = load_file(tmp_path / "run" / "weights.safetensors")
    assert torch.equal(saved["network.read_out.weight"], known.network.read_out.weight)


def test_training_with_contacts_starts_from_weights_without(tmp_path, tiny_config):
    frames = {"points_per_token": 4, "anchor": 1, "offset_std_ang": 1.05, "frames": True, "local": True}
    known = PreconditionedDenoiser(tiny_config(**frames))
    with torch.no_grad():
        known.network.read_out.weight.normal_()
    save_file(known.state_dict(), tmp_path / "known.safetensors")
    fresh = PreconditionedDenoiser(tiny_config(**frames, contacts=3))
    load_initial(fresh, tmp_path / "known.safetensors")
    assert torch.equal(fresh.network.read_out.weight, known.network.read_out.weight)
    assert not any(messages.project_out.weight.any() for messages in fresh.network.contact_messages)
    save_file(fresh.state_dict(), tmp_path / "fresh.safetensors")
    with pytest.raises(DataError, match=r"another network; it differs in network\.contact_edges"):
        load_initial(known, tmp_path / "fresh.safetensors")


def test_weights_of_another_network_are_refused(tmp_path, tiny_config):
    other = {"network.extra": torch.zeros(1), **PreconditionedDenoiser(tiny_config()).state_dict()}
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"another network; it differs in network\.extra"):
        load_initial(PreconditionedDenoiser(tiny_config()), tmp_path / "other.safetensors")
    save_file(PreconditionedDenoiser(tiny_config(channels=64)).state_dict(), tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match="another network"):
        load_initial(PreconditionedDenoiser(tiny_config()), tmp_path / "wide.safetensors")
    with pytest.raises(DataError, match=r"nothing\.safetensors"):
        load_initial(PreconditionedDenoiser(tiny_config()), tmp_path / "nothing.safetensors")
