import pytest

from models.errors import DataError
from models.experiments.plan import build_plan
from models.training.config import to_json


@pytest.fixture
def config_file(tmp_path, train_config):
    path = tmp_path / "config.json"
    path.write_text(to_json(train_config(bucket_sizes=(8, 16), budget_s=40.0)))
    return path


def plan(config_file, **changes):
    words = {
        "arms": [], "seeds": "0,1", "budget_s": None, "max_atoms": 12, "steps": 4, "sde_steps": 4, "turns": 2,
        "clock": "wall", "threads": 1,
    }  # fmt: skip
    return build_plan(config_file, **{**words, **changes})


def test_plan_trains_every_arm_with_every_seed(config_file):
    runs = plan(config_file).runs
    assert len(runs) == len(set(runs)) == 12
    assert plan(config_file, arms=["plain"]).automorphisms == 0
    assert plan(config_file).automorphisms == 50


def test_largest_molecule_sets_the_last_bucket(config_file):
    assert plan(config_file).config.bucket_sizes == (8, 12)
    assert plan(config_file, max_atoms=6).config.bucket_sizes == (6,)


def test_budget_is_the_configured_one_unless_another_is_given(config_file):
    assert plan(config_file).config.budget_s == 40
    assert plan(config_file, budget_s=7.0).config.budget_s == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clock": "sun"}, "clock is 'sun'; allowed: wall, cpu"),
        ({"clock": "cpu", "threads": 2}, "use 1 thread, not 2"),
        ({"seeds": "0,x"}, "give whole numbers"),
        ({"seeds": "1,1"}, "each once"),
        ({"seeds": ""}, "give one or more"),
        ({"budget_s": -1.0}, "budget"),
        ({"arms": ["fast"]}, "unknown arm 'fast'"),
    ],
)
def test_plan_that_cannot_be_compared_is_refused(config_file, changes, words):
    with pytest.raises(DataError, match=words):
        plan(config_file, **changes)
