from dataclasses import fields, replace

import pytest

from textclf.data.options import FilesDataset
from textclf.errors import ConfigError
from textclf.experiment import cli, config, experiment, options, provenance, rerun
from textclf.experiment.experiment import run_fingerprint
from textclf.experiment.options import Decides, Experiment, RunOptions, deciding
from textclf.models.options import ModelOptions
from textclf.tracking.record import config_fingerprint

CONFIG = {
    "dataset": {"name": "d", "path": "a/b"},
    "model": {"name": "m", "max_length": 64},
    "trainer": {"epochs": 2, "checkpoint_every": "10min"},
    "tracker": {"x": 1},
    "analysis": {"bins": 15},
    "seed": 3,
    "objective": "validation/loss",
    "experiment": "e",
    "run_name": "r",
    "price_per_hour": None,
    "currency": "USD",
    "save_classifier": True,
}


def test_fingerprints_stay_what_they_are():
    """Records and folders of finished runs hold them."""
    assert config_fingerprint(deciding(CONFIG, Decides.metrics)) == "c9c9bf5ab89c"
    assert run_fingerprint(CONFIG) == "e880fece3d52283a"
    assert run_fingerprint(CONFIG | {"save_classifier": False}) == "f7316c1c448d1439"


def test_every_option_says_what_it_decides():
    assert {option.name: option.metadata["decides"] for option in fields(Experiment)}.keys() == CONFIG.keys()


def test_an_option_of_the_run_is_declared_once():
    """No other module of the room lists their names."""
    names = {option.name for option in fields(RunOptions)}
    for module in (cli, config, experiment, provenance, rerun):
        for name, value in vars(module).items():
            is_list = isinstance(value, (tuple, list, dict, set)) and not name.startswith("__")
            assert not (is_list and len(names & set(map(str, value))) > 1), f"{module.__name__}.{name}"
    assert options.GROUPS == ("dataset", "model", "trainer", "tracker", "analysis")


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x9b", "\n", "\r", "\x7f", "\u202e", "\u2028"])
def test_names_that_a_terminal_would_obey_are_refused(character):
    fine = Experiment(dataset=FilesDataset(name="d é", train="x"), model=ModelOptions(name="m 語"), run_name="r (1)")
    name = f"a{character}b"
    for changes, option in (
        ({"dataset": FilesDataset(name=name, train="x")}, "dataset.name"),
        ({"model": ModelOptions(name=name)}, "model.name"),
        ({"experiment": name}, "experiment"),
        ({"run_name": name}, "run_name"),
    ):
        with pytest.raises(ConfigError, match=f"^{option}=") as refused:
            replace(fine, **changes)
        assert character not in str(refused.value)
