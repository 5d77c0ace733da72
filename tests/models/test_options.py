from dataclasses import replace

import pytest

from models.errors import SamplerError
from models.options import (
    DEFAULT_START,
    MAX_STEPS,
    START_TIME,
    STARTS,
    STEPS,
    SampleOptions,
    build_chain_options,
    build_options,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "magic"}, "unknown sampler 'magic'; allowed: ode, heun, sde"),
        ({"steps": 0}, "steps is 0; allowed: 1 to 1000"),
        ({"steps": MAX_STEPS + 1}, "steps is 1001; allowed: 1 to 1000"),
        ({"rounds": 0}, "rounds is 0"),
        ({"guidance": -0.5}, "guidance is -0.5; allowed: 0 to 10"),
        ({"guidance": 10.5}, "guidance is 10.5; allowed: 0 to 10"),
    ],
)
def test_options_that_no_sampler_can_follow_are_refused(change, words):
    with pytest.raises(SamplerError, match=words):
        SampleOptions(**change)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"start": "crest"}, "unknown start 'crest'; allowed: noise, etkdg, mmff94s"),
        ({"start": "etkdg", "tries": 3}, "tries is 3; allowed: 1 to 32 with start 'mmff94s', else 1"),
        ({"start": "mmff94s", "tries": 33}, "tries is 33; allowed: 1 to 32"),
        ({"start": "etkdg", "start_time": 1.0}, "start_time is 1.0; allowed: above 0, below 1"),
        ({"start": "etkdg", "start_time": 0.0}, "start_time is 0.0; allowed: above 0, below 1"),
        ({"start": "noise", "start_time": 0.5}, "leave it out, or take start 'etkdg'"),
        ({"start": "etkdg", "kind": "sde"}, "needs the score of paths from noise"),
    ],
)
def test_start_that_cannot_be_is_refused(given, words):
    with pytest.raises(SamplerError, match=words):
        build_options(**given)


def test_each_start_has_its_own_steps():
    assert (build_options("noise").steps, build_options("etkdg").steps) == (STEPS["noise"], STEPS["etkdg"])
    assert build_options("etkdg", steps=3, start_time=0.6) == SampleOptions(steps=3, start="etkdg", start_time=0.6)
    for begin in ("etkdg", "mmff94s"):
        assert build_options(begin).start_time == START_TIME[begin]


def test_every_start_has_defaults():
    assert DEFAULT_START in STARTS
    assert tuple(STEPS) == tuple(START_TIME) == STARTS


def test_options_are_told_with_their_defaults():
    assert build_options("etkdg").to_values() == {
        "start": "etkdg", "start_time": START_TIME["etkdg"], "tries": 1, "kind": "ode", "steps": STEPS["etkdg"],
        "schedule": "uniform",
    }  # fmt: skip
    assert build_options("noise").to_values()["start_time"] is None


def test_shared_part_leaves_out_what_each_path_has_for_itself():
    cold, warm = SampleOptions(steps=50, rounds=5), build_options("mmff94s", steps=3, tries=4, rounds=2)
    assert cold.shared == warm.shared
    assert replace(cold, noise_scale=0.1).shared == cold.shared  # only the SDE uses it
    for changes in (
        {"kind": "heun"},
        {"schedule": "log"},
        {"quotient": False},
        {"half": True},
        {"kind": "sde"},
        {"guidance": 2.0},
    ):
        assert replace(cold, **changes).shared != cold.shared
    noisy = replace(cold, kind="sde")
    assert replace(noisy, noise_scale=0.1).shared != noisy.shared


def test_backbones_take_the_churn_that_their_steps_can_follow():
    assert (build_chain_options().steps, build_chain_options().churn, build_chain_options().schedule) == (
        200,
        20.0,
        "log",
    )
    assert build_chain_options(steps=50).churn == 5.0
    assert [build_chain_options(steps=steps, held=True).churn for steps in (50, 400)] == [5.0, 10.0]
    assert build_chain_options(churn=15.0, held=True).churn == 15.0
    assert build_chain_options(steps=100, schedule="uniform").churn == 2.0
    assert build_chain_options(steps=100, churn=0.0).churn == 0.0
    with pytest.raises(SamplerError, match="churn is 30 with 100 steps of the grid 'log'; allowed: 0 to 20"):
        build_chain_options(steps=100, churn=30.0)
    with pytest.raises(SamplerError, match="unknown sampler"):
        build_chain_options(kind="euler")


@pytest.mark.parametrize("kind", ["ode", "heun"])
@pytest.mark.parametrize(("name", "value"), [("churn", 5.0), ("noise_scale", 0.5), ("churn", 0.0)])
def test_noise_of_samplers_that_have_none_is_refused(kind, name, value):
    with pytest.raises(SamplerError, match=f"{name} is {value:g}, but sampler '{kind}' has no noise; leave it out"):
        build_chain_options(kind=kind, **{name: value})
    values = build_chain_options(kind=kind).to_chain_values()
    assert values["noise_scale"] is values["churn"] is None
    assert build_chain_options(**{name: value}).to_chain_values()[name] == value


def test_churn_is_not_below_zero():
    with pytest.raises(SamplerError, match="churn is -1"):
        build_chain_options(churn=-1.0)
