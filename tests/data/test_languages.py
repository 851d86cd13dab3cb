"""Trained on some languages, tested on all."""

import json

import numpy as np
import pytest

from textclf.data.load import load
from textclf.data.options import FilesDataset, HubDataset
from textclf.errors import ConfigError, DataError
from textclf.evaluation.evaluate import evaluate_split
from textclf.evaluation.predictions import prediction_table


def rows(language, count):
    return [{"text": f"{language} {i}", "label": ("no", "yes")[i % 2]} for i in range(count)]


def write(path, content):
    path.write_text("".join(json.dumps(row) + "\n" for row in content))


@pytest.fixture
def folder(tmp_path):
    for language in ("de", "en", "pt-BR"):
        write(tmp_path / f"train.{language}.jsonl", rows(language, 40))
        write(tmp_path / f"test.{language}.jsonl", rows(language, 10))
    return tmp_path


def options(folder, **changes):
    files = {split: f"{folder}/{split}.%language%.jsonl" for split in ("train", "test")}
    return FilesDataset(**{"name": "mine", **files} | changes)


def languages(split):
    return sorted(set(split["language"]))


def test_one_file_per_language(folder):
    data = load(options(folder, train_languages=["en"]))
    assert languages(data.train) == languages(data.validation) == ["en"]
    assert languages(data.test) == ["de", "en", "pt-BR"]
    assert (len(data.train) + len(data.validation), len(data.test)) == (40, 30)
    assert all(
        text.startswith(language) for text, language in zip(data.test["text"], data.test["language"], strict=True)
    )
    assert data.name == "mine[from=en]"


def test_all_languages_where_none_is_chosen(folder):
    data = load(options(folder))
    assert languages(data.train) == ["de", "en", "pt-BR"]
    assert len(data.train) + len(data.validation) == 120


def test_a_column_of_languages(tmp_path):
    content = [row | {"lang": language} for language in ("de", "en") for row in rows(language, 60)]
    write(tmp_path / "all.jsonl", content)
    given = {"name": "mine", "train": str(tmp_path / "all.jsonl"), "language_column": "lang", "train_languages": ["de"]}
    data = load(FilesDataset(**given, max_train_examples=20))
    assert (languages(data.train), len(data.train)) == (["de"], 20)
    assert languages(data.test) == ["de", "en"]
    write(tmp_path / "all.jsonl", [*content, {"text": "x", "label": "no", "lang": None}])
    assert load(FilesDataset(**given)).rejected == {"train": {"no language": 1}}
    with pytest.raises(DataError, match=r"1 no language. First .*all.jsonl:121 "):
        load(FilesDataset(**given, max_rejected=0))


def test_what_is_not_there_is_told(folder):
    with pytest.raises(DataError, match=r"no example in fr \(dataset.train_languages\); it has de, en, pt-BR"):
        load(options(folder, train_languages=["fr"]))
    with pytest.raises(DataError, match="there is no file for any language"):
        load(options(folder, train=f"{folder}/none.%language%.jsonl"))
    with pytest.raises(ConfigError, match="train_languages needs to know each example's language"):
        HubDataset(name="d", path="a/b", train_languages=["en"])


def test_scores_and_predictions_are_given_by_language(folder):
    class Yes:
        thresholds, has_sets, billed, gives_probabilities = None, False, None, True

        def probabilities(self, texts, pairs=None):
            return np.tile(np.array([[0.2, 0.8]], dtype=np.float32), (len(texts), 1))

    data = load(options(folder, train_languages=["en"]))
    evaluation = evaluate_split(Yes(), data, "test")
    assert evaluation.metrics["test/accuracy/de"] == 0.5
    assert {name for name in evaluation.metrics if name.startswith("test/macro_f1/")} == {
        "test/macro_f1/de", "test/macro_f1/en", "test/macro_f1/pt-BR",
    }  # fmt: skip
    table = prediction_table(data, "test", evaluation.predictions)
    assert table["language"].value_counts().to_dict() == {"de": 10, "en": 10, "pt-BR": 10}
