import shutil
import time

import pytest

from textclf.data.load import load
from textclf.data.options import HubDataset
from textclf.errors import ArtifactError, DataError
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint
from textclf.system import hub as hub_module

ADVICE = {
    "private": "Check the spelling of {option}.*log in with `hf auth login`",
    "gated": "is gated.*Accept its terms",
    "missing": "is not on the Hub, or is private.*spelling of {option}",
    "often": "asked too often.*Try again in a few minutes.*{option}=/path",
    "failing": "an error of its own \\(500\\).*Try again in a few minutes",
    "forbidden": "answers 403.*proxy",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(hub_module, "PAUSES", (0.0,))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def read_dataset(name, revision=None):
    load(HubDataset(name="x", path=name, revision=revision))


def read_checkpoint(name, revision=None):
    open_checkpoint(TransformerModel(name="x", checkpoint=name, revision=revision))


KINDS = [(read_checkpoint, "model.checkpoint", ArtifactError), (read_dataset, "dataset.path", DataError)]


@pytest.mark.parametrize(("read", "option", "kind"), KINDS)
@pytest.mark.parametrize("name", ADVICE)
def test_each_refusal_gets_its_own_advice_at_once(hub, read, option, kind, name):
    start = time.monotonic()
    with pytest.raises(kind, match=ADVICE[name].format(option=option)) as raised:
        read(f"refused/{name}")
    assert time.monotonic() - start < 5, "the clients' own retries take longer"
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("read", "option", "kind"), KINDS)
def test_a_revision_that_is_not_there_is_named(hub, read, option, kind):
    with pytest.raises(kind, match=rf"no revision 'nosuch'. Set {option.partition('.')[0]}.revision"):
        read("tests/reviews", "nosuch")


@pytest.mark.parametrize(("read", "option", "kind"), KINDS)
def test_a_token_that_is_not_accepted_is_told_from_a_private_repository(hub, read, option, kind, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    for name in ("bad-token", "private"):
        with pytest.raises(kind, match="does not accept your token.*HF_TOKEN"):
            read(f"refused/{name}")
    with pytest.raises(kind, match="account of your token has no access to it yet"):
        read("refused/gated")


def test_what_is_cached_is_used_while_the_hub_is_in_trouble(hub, monkeypatch, caplog):
    options = TransformerModel(name="tiny", checkpoint="tests/tiny-bert", max_length=16)
    load_checkpoint(options, ("no", "yes"), seed=1)  # fills the cache
    from tests.hub import REFUSED

    monkeypatch.setitem(REFUSED, "tests/tiny-bert", (503, "", "Service Unavailable"))
    load_checkpoint(options, ("no", "yes"), seed=1)
    assert "answers 503" in caplog.text


def test_a_checkpoint_of_which_the_config_alone_is_cached_is_told_the_ways_on(hub, tiny_checkpoint, monkeypatch):
    folder = hub / "models" / "tests" / "config-only"
    folder.mkdir(exist_ok=True)
    shutil.copy(tiny_checkpoint / "config.json", folder)
    options = TransformerModel(name="x", checkpoint="tests/config-only", max_length=16)
    open_checkpoint(options)
    monkeypatch.setattr(hub_module.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ArtifactError, match="not in the local cache.*HF_HUB_OFFLINE is set.*model=minilm"):
        load_checkpoint(options, ("no", "yes"), seed=1)
