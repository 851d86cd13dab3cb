import json
from dataclasses import asdict

import pytest
import yaml

from textclf.errors import ConfigError
from textclf.experiment.arguments import CONF
from textclf.models.llm.options import AnswerWith, LlmModel, Prompt
from textclf.models.llm.questions import CUT_OFF, EMPTY, REFUSED, Example, Questions

NAMES = ("bug", "bug report", "Praise")


def asked(**changes):
    return Questions(**{"label_names": NAMES, "descriptions": {"bug": "an insect"}, "prompt": Prompt()} | changes)


def labels(questions, said, finish="stop", count=1):
    return [reading.labels for reading in questions.read(said, finish, count)]


def test_the_prompt_holds_labels_with_their_descriptions_and_the_examples_as_turns():
    questions = asked(examples=(Example("it bites", None, (0,)), Example("thanks", None, (2,))))
    messages = questions.messages(["a text"], [None])
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "- bug: an insect\n- bug report\n- Praise\n" in messages[0]["content"]
    assert [one["content"] for one in messages[1:]] == ["it bites", "bug", "thanks", "Praise", "a text"]


def test_a_text_that_holds_the_marks_of_the_prompt_is_sent_as_it_is():
    (*_, last) = asked().messages(["{labels} {text_pair} {text}"], ["other {text}"])
    assert last["content"] == "First text: {labels} {text_pair} {text}\nSecond text: other {text}"


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("bug", 0), (" bug report.\n", 1), ('"praise"', 2), ("**Praise**", 2), ("<think>bug?</think>\nPraise", 2),
        ("It is a bug", None), ("bug or Praise", None), ("", None), ("prais", None),
    ],
)  # fmt: skip
def test_a_text_is_an_answer_only_where_it_is_a_label_and_nothing_else(said, label):
    assert labels(asked(), said) == [None if label is None else (label,)]


def test_labels_that_differ_in_case_alone_must_be_named_as_they_are():
    questions = asked(label_names=("US", "us"), descriptions={})
    assert labels(questions, "us") == [(1,)]
    assert labels(questions, "Us") == [None]


def test_json_is_read_strictly_and_what_it_says_instead_is_named():
    questions = asked(in_json=True)
    assert labels(questions, '{"label": "Praise"}') == [(2,)]
    assert labels(questions, '```json\n{"label": "bug"}\n```') == [(0,)]
    for said, named in [
        ('{"label": "maybe"}', "maybe"), ('{"lab', '{"lab'), ("[1]", "[1]"), ('{"label": 3}', '{"label": 3}'), ("", EMPTY),
    ]:  # fmt: skip
        (reading,) = questions.read(said, "stop", 1)
        assert (reading.labels, reading.said) == (None, named)
    assert questions.read('{"label": "bug"}', "length", 1)[0].said == CUT_OFF
    assert questions.read("", "content_filter", 1)[0].said == REFUSED
    assert labels(questions, "[" * 100_000) == [None]


def test_sets_of_labels_may_be_empty_and_one_unknown_label_spoils_them():
    questions = asked(in_json=True, sets=True)
    assert labels(questions, '{"labels": ["Praise", "bug", "bug"]}') == [(2, 0)]
    assert labels(questions, '{"labels": []}') == [()]
    assert labels(questions, '{"labels": ["bug", "maybe"]}') == [None]
    assert labels(questions, '{"label": "bug"}') == [None]


def test_each_of_several_texts_has_the_answer_of_its_number():
    questions = asked(in_json=True, texts_per_request=3)
    said = json.dumps({"answers": [{"number": 3, "label": "Praise"}, {"number": 1, "label": "bug"},
                                   {"number": 9, "label": "bug"}]})  # fmt: skip
    assert labels(questions, said, count=3) == [(0,), None, (2,)]
    twice = json.dumps({"answers": [{"number": 1, "label": "bug"}, {"number": 1, "label": "Praise"}]})
    assert labels(questions, twice, count=2) == [None, None]
    assert "[2]\nb" in questions.messages(["a", "b"], [None, None])[-1]["content"]


def test_letters_stand_for_labels_in_prompt_schema_and_answer():
    questions = asked(in_json=True, answer_with=AnswerWith.letters)
    assert "- A: bug, an insect\n- B: bug report" in questions.head[0]["content"]
    assert questions.schema["properties"]["label"]["enum"] == ["A", "B", "C"]
    assert labels(questions, '{"label": "C"}') == [(2,)]
    assert labels(questions, '{"label": "Praise"}') == [None]


@pytest.mark.parametrize("changes", [{}, {"in_json": True}, {"in_json": True, "sets": True, "texts_per_request": 4}])
def test_the_longest_answer_has_room(changes):
    questions = asked(**changes)
    every = tuple(range(3)) if questions.sets else (1,)
    said = questions._said([every] * questions.texts_per_request)
    assert len(said.encode()) <= questions.longest_answer
    assert all(reading is not None for reading in labels(questions, said, count=questions.texts_per_request))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_url": "localhost:8000"}, "base_url must be an address"),
        ({"base_url": "https://me:hidden@there/v1"}, "no login"),
        ({"key_variable": "sk-abcdefgh"}, "never the key"),
        ({"price_input": 1.0}, "given together"),
        ({"probabilities": "logprobs", "texts_per_request": 4}, "contradicts texts_per_request=4"),
        ({"imbalance": "oversample"}, "nothing is trained"),
        ({"shots": -1}, "shots must be at least 0"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, said):
    from omegaconf import OmegaConf

    node = OmegaConf.structured(LlmModel)
    OmegaConf.set_readonly(node, False)
    with pytest.raises(ConfigError, match=said) as caught:
        OmegaConf.to_object(OmegaConf.merge(node, {"name": "llm", "checkpoint": "m", **changes}))
    assert "hidden" not in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_the_prompt_of_the_config_is_the_default():
    content = yaml.safe_load((CONF / "model" / "llm.yaml").read_text())
    assert content["prompt"] == asdict(Prompt())


def test_a_prompt_without_a_place_for_the_labels_is_refused():
    with pytest.raises(ConfigError, match=r"prompt.task must hold \{labels\}"):
        Prompt(task="Classify this.")
