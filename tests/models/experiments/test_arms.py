import pytest

from models.errors import DataError
from models.experiments.arms import ARMS, arm_config, find_arms


def test_arms_have_different_names_and_do_different_things():
    assert len({arm.name for arm in ARMS}) == len(ARMS) == 6
    assert len({(arm.loss, arm.pairs, arm.quotient) for arm in ARMS}) == len(ARMS)


def test_arms_are_found_in_their_order():
    assert find_arms([]) == ARMS
    assert [arm.name for arm in find_arms(["quotient", "plain"])] == ["plain", "quotient"]
    with pytest.raises(DataError, match="unknown arm 'kabsh'; allowed: plain, kabsch"):
        find_arms(["plain", "kabsh"])


@pytest.mark.parametrize("arm", ARMS, ids=[arm.name for arm in ARMS])
def test_arm_changes_nothing_but_symmetry_and_seed(arm, train_config):
    base = train_config(prior="harmonic", learning_rate=0.3)
    config = arm_config(base, arm, 5)
    changed = {name for name in vars(base) if getattr(base, name) != getattr(config, name)}
    assert changed <= {"loss", "coupling", "automorphisms", "prior", "seed"}
    assert (config.prior, config.seed, config.learning_rate) == ("gaussian", 5, 0.3)


def test_uncoupled_arms_have_a_score(train_config, model_of):
    for arm in ARMS:
        config = arm_config(train_config(), arm, 0)
        model = model_of(None, config.prior, config.coupling)
        if arm.pairs == "none":
            model.check_sampler("sde")
        else:
            with pytest.raises(Exception, match="no exact score"):
                model.check_sampler("sde")
