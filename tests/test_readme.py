"""Every command in the README composes and builds; every file it names is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from textclf.experiment import config
from textclf.experiment.cli import CONF, choices_of
from textclf.experiment.config import build_all

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (ROOT / "experiments" / "README.md").read_text("utf-8")
COMMANDS = sorted(
    {match[0].strip("`") for match in re.finditer(r"(?:python|[^\n`]*) -m textclf\.run[^\n`]*", README + GUIDE)}
)


def combinations(overrides):
    """Return the first and the last of the combinations that a sweep would run."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    picked = []
    for end in (0, -1):
        values = []
        for override in parsed:
            if override.is_choice_sweep():
                options = [str(value) for value in override.sweep_string_iterator()]
                values.append(f"{override.get_key_element()}={options[end]}")
            else:
                values.append(override.input_line)
        picked.append(values)
    return picked


def test_there_are_commands():
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_composes_and_builds(command):
    words = shlex.split(command.partition("textclf.run")[2], comments=True)
    overrides = [word for word in words if not word.startswith("-") and "launcher=ray" not in word]
    overrides = [word for word in overrides if "launcher.ray" not in word]  # an extra that the lock leaves out
    if "--from-run" in words:
        return  # its overrides come from a record
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for values in combinations(overrides):
            if "study=multilingual" in values and "dataset=files" not in values:
                continue  # needs a dataset that the page does not name
            build_all(compose("config", values))


def test_targets_and_files_that_it_names_are_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([a-z-]+)`", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in set(re.findall(r"`(conf/[\w/.-]+)`", README)) - {"conf/model/electra.yaml"}:
        assert (ROOT / path).exists(), path
    for page, folder in ((README, ROOT), (GUIDE, ROOT / "experiments")):
        for path in re.findall(r"\]\((?!http)([^)#]+)\)", page):
            assert (folder / path).exists(), path


def test_every_study_is_explained():
    for study in choices_of("study"):
        assert f"`{study}`" in GUIDE, study


def test_the_options_of_compare_that_it_names_exist():
    known = subprocess.run([sys.executable, "-m", "textclf.compare", "--help"], capture_output=True, text=True).stdout
    said = [line for line in (README + GUIDE).splitlines() if "-m textclf.compare" in line]
    assert said
    for option in {option for line in said for option in re.findall(r"--[a-z-]+", line)}:
        assert option in known, option


def test_the_yaml_of_the_readme_composes(tmp_path):
    text = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "electra.yaml").write_text(text)
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "model=electra"])
    assert build_all(cfg)["model"].checkpoint == "google/electra-small-discriminator"


def test_the_python_of_the_readme_names_what_exists():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    compile(code, "README", "exec")
    import textclf

    assert callable(textclf.load_classifier)
