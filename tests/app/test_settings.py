import pytest

from textclf.app.settings import VARIABLE, Settings, read_settings
from textclf.errors import ConfigError


def test_settings_come_through_the_environment():
    settings = Settings(outputs="/a b", words=3, sign_in=True, allowed=("@x.org",))
    assert read_settings(settings.as_environment()) == settings
    assert read_settings({}) == Settings()


@pytest.mark.parametrize(
    "said", ["{", '"text"', '{"wordz": 1}', '{"max_rows": 0}', '{"allowed": ["@x"]}', '{"words": "a"}']
)
def test_settings_that_make_no_sense_are_refused(said):
    with pytest.raises(ConfigError):
        read_settings({VARIABLE: said})


def test_a_visitor_is_shown_no_folder_above_the_outputs():
    given = Settings(outputs="/srv/of me/outputs", feedback="/data/said/f.jsonl", run="/srv/of me/outputs/runs/a")
    assert given.short("/srv/of me/outputs/runs/a: it is damaged") == "outputs/runs/a: it is damaged"
    assert given.short("in /data/said/f.jsonl") == "in f.jsonl"
    assert Settings().short("outputs/feedback/x.jsonl") == "outputs/feedback/x.jsonl"
    assert Settings(outputs="/outputs").short("/outputs/x") == "/outputs/x"
