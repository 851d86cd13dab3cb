"""Runs with a language model behind a stand-in on loopback: from the options to the record, its report and its use."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.conftest import GOOD, sentences, write_jsonl
from tests.llm_server import Raw, answering
from textclf import load_classifier
from textclf.compare.runs import read_run
from textclf.data.options import FilesDataset
from textclf.errors import ArtifactError, ConfigError, DataError, ResourceError
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.llm.options import AnswerForm, AnswerWith, LlmModel, ProbabilitySource
from textclf.models.options import CalibrationMethod, ClassicalModel
from textclf.predict.options import PredictOptions
from textclf.predict.texts import predict_texts, shown
from textclf.tracking.record import RunRecord

KEY = "qzx-key-of-this-test"


@pytest.fixture(autouse=True)
def _own_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXTCLF_ANSWER_CACHE", str(tmp_path / "answers"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def reviews(tmp_path):
    rows = sentences(60)
    files = {
        split: str(write_jsonl(tmp_path / "data" / f"{split}.jsonl", part))
        for split, part in (("train", rows[:20]), ("validation", rows[20:30]), ("test", rows[30:]))
    }
    return FilesDataset(name="reviews", label_descriptions={"positive": "the writer is pleased"}, **files)


def mood(text):
    return "positive" if any(word in text for word in GOOD) else "negative"


def run(server, data, folder, experiment=None, **model) -> RunRecord:
    given = {"name": "llm", "checkpoint": "stand-in", "base_url": server.address, "retries": 1} | model
    return run_experiment(Experiment(data, LlmModel(**given), **experiment or {}), folder)


def everything_in(*folders):
    return b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())


def test_a_run_has_probabilities_costs_and_no_key(reviews, tmp_path):
    with answering(answer=mood, key=KEY, cached=3, others=lambda text: {"negative": -3.0, "positive": -3.0}) as server:
        record = run(server, reviews, tmp_path / "run", price_input=1.0, price_output=2.0, price_cached=0.5)
        assert record.metrics["test/accuracy"] == 1
        assert {"test/log_loss", "test/roc_auc", "test/ece"} <= set(record.metrics)
        assert record.fit["draws_seed"] is False
        assert (record.fit["reads_labels"], record.fit["labels_per_class"]) == (False, 0)
        costs = record.costs
        assert costs["cached_input_tokens"] == 90
        paid = (costs["input_tokens"] - 90 + 90 * 0.5 + 2 * costs["output_tokens"]) / 1e6
        assert costs["price_per_1000_texts"] == pytest.approx(1000 * paid / 30)
        assert 0 < costs["latency_median_seconds"] <= costs["latency_p95_seconds"]
        assert costs["paid"] > paid
        assert len(server.sent) == 40
        assert "the writer is pleased" in server.asked[0]["messages"][0]["content"]
        assert "1,000 texts" in (tmp_path / "run" / "report.md").read_text()
        again = run(server, reviews, tmp_path / "again", price_input=1.0, price_output=2.0, price_cached=0.5)
        assert again.metrics == record.metrics
        assert (again.costs["paid"], again.costs["price_per_1000_texts"]) == (0, costs["price_per_1000_texts"])
        assert len(server.sent) == 40
    assert KEY.encode() not in everything_in(tmp_path)
    assert record.config["model"]["key_variable"] == "OPENAI_API_KEY"


def test_without_log_probabilities_metrics_of_probabilities_are_absent_and_the_run_can_be_compared(reviews, tmp_path):
    def odd(text):
        return "who knows" if "superb chair" in text else mood(text)

    with answering(answer=odd, knows_schema=False, knows_logprobs=False) as server:
        record = run(server, reviews, tmp_path / "run")
    assert not {"test/log_loss", "test/roc_auc", "test/ece"} & set(record.metrics)
    assert "price_per_1000_texts" not in record.costs
    assert record.costs["input_tokens"] > 0
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert table["probability_positive"].isna().all()
    wrong = table["prediction"].isna()
    assert wrong.sum() == table["text"].str.contains("superb chair").sum() > 0
    assert record.metrics["test/accuracy"] == 1 - wrong.mean()
    (warning,) = (text for text in record.fit["warnings"] if text.startswith("answers: "))
    assert "'who knows'" in warning
    assert "Each counts as wrong" in warning
    report = (tmp_path / "run" / "report.md").read_text()
    assert warning in report
    assert "named no class and is in none of these columns" in report
    found = read_run(tmp_path / "run")
    assert (found.predicted == -1).sum() == wrong.sum()
    assert np.isnan(found.log_losses).all()


def test_a_schema_that_is_not_known_is_warned_of_once(reviews, tmp_path, caplog):
    with answering(answer=mood, knows_schema=False) as server:
        run(server, reviews, tmp_path / "run")
    assert caplog.text.count("does not hold answers to a JSON schema") == 1
    with answering(answer=mood, ignores_schema=True) as server:
        assert run(server, reviews, tmp_path / "ignored").metrics["test/accuracy"] == 1
    with answering(answer=mood, knows_schema=False) as server, pytest.raises(ConfigError, match=r"model.answer=auto"):
        run(server, reviews, tmp_path / "schema", answer=AnswerForm.schema)


def test_a_server_with_another_name_for_the_limit_is_understood(reviews, tmp_path):
    with answering(answer=mood, wants_completion_tokens=True) as server:
        run(server, reviews, tmp_path / "run")
        assert "max_completion_tokens" in server.asked[-1]


def test_examples_are_drawn_by_the_seed(reviews, tmp_path):
    with answering(answer=mood) as server:
        record = run(server, reviews, tmp_path / "run", shots=3)
        assert record.fit["draws_seed"] is True
        first = server.asked[-1]["messages"]
        assert [one["role"] for one in first].count("assistant") == 6
        said = [json.loads(one["content"])["label"] for one in first if one["role"] == "assistant"]
        assert sorted(said) == ["negative"] * 3 + ["positive"] * 3
        run(server, reviews, tmp_path / "other", shots=3, experiment={"seed": 2})
        assert server.asked[-1]["messages"][:-1] != first[:-1]
        with pytest.raises(DataError, match=r"train has fewer of negative \(10\), positive \(10\)"):
            run(server, reviews, tmp_path / "many", shots=11)


def test_what_would_cost_more_than_the_budget_is_refused_before_anything_is_asked(reviews, tmp_path):
    with answering(answer=mood) as server:
        with pytest.raises(ResourceError, match=r"max_cost=0.01 USD will not do: .*Nothing was asked"):
            run(server, reviews, tmp_path / "dear", price_input=100.0, price_output=100.0, max_cost=0.01)
        with pytest.raises(ConfigError, match=r"max_cost=1 cannot be held: the price of stand-in"):
            run(server, reviews, tmp_path / "unknown", max_cost=1.0)
        assert not server.sent


def test_answers_that_are_cut_off_are_refused_at_the_first(reviews, tmp_path):
    with answering(answer=lambda text: Raw("well, let me think about this text"), knows_logprobs=False) as server:
        with pytest.raises(ConfigError, match=r"was cut off after 3 tokens .*model.max_answer_tokens"):
            run(server, reviews, tmp_path / "run", max_answer_tokens=3, answer=AnswerForm.text)
        assert len(server.asked) <= 2


def test_labels_that_begin_alike_are_named_or_the_named_class_is_taken(reviews, tmp_path, caplog):
    renamed = replace(reviews, label_map={"positive": "very good", "negative": "very bad"}, label_descriptions=None)

    def alike(text):  # the answer is a third one, so that the shared beginning is not followed
        return "poor"

    rows = [{"text": f"it is {n}", "label": "poor"} for n in range(4)]
    train = [*({"text": row["text"], "label": "very good" if n % 2 else "very bad"}
               for n, row in enumerate(sentences(20))), *rows]  # fmt: skip
    data = replace(renamed, label_map=None, train=str(write_jsonl(tmp_path / "t.jsonl", train)),
                   validation=str(write_jsonl(tmp_path / "v.jsonl", rows)),
                   test=str(write_jsonl(tmp_path / "e.jsonl", rows)), on_leakage=reviews.on_leakage)  # fmt: skip
    with answering(answer=alike, others=lambda text: {"very": -1.0}) as server:
        with pytest.raises(ConfigError, match=r"do not tell 'very bad' and 'very good' apart.*answer_with=letters"):
            run(server, data, tmp_path / "strict", probabilities=ProbabilitySource.logprobs)
        record = run(server, data, tmp_path / "auto")
        assert "from here on there are no probabilities" in caplog.text
        assert "test/log_loss" not in record.metrics
    with answering(answer=lambda text: "B", others=lambda text: {"A": -1.0, "C": -3.0}) as server:
        record = run(server, data, tmp_path / "letters", answer_with=AnswerWith.letters)
        assert record.metrics["test/log_loss"] > 0


def test_pairs_and_several_texts_in_a_request(tmp_path):
    rows = [{"text": f"number {n}", "text_pair": f"pair {n}", "label": "yes" if n % 2 else "no"} for n in range(24)]
    file = str(write_jsonl(tmp_path / "rows.jsonl", rows))
    data = FilesDataset(name="pairs", train=file, validation=file, test=file, text_pair_column="text_pair")

    def parity(text):
        assert "pair" in text
        return "yes" if int(text.split("number ")[1].split()[0]) % 2 else "no"

    with answering(answer=parity) as server:
        assert run(server, data, tmp_path / "one").metrics["test/accuracy"] == 1
        before = len(server.sent)
        record = run(server, data, tmp_path / "five", texts_per_request=5, probabilities=ProbabilitySource.none)
        assert record.metrics["test/accuracy"] == 1
        assert len(server.sent) - before == 5  # 24 texts, and the same again on test
        assert load_classifier(tmp_path / "five").predict(["number 7"], ["pair 7"])[0].label == "yes"


def test_sets_of_labels_and_one_answer_that_is_none(tmp_path):
    has = [["a"], ["a", "b"], [], ["b"]]
    rows = [{"text": f"text {n} {' '.join(has[n % 4])}", "label": has[n % 4]} for n in range(40)]
    file = str(write_jsonl(tmp_path / "rows.jsonl", rows))
    data = FilesDataset(name="sets", train=file, validation=file, test=file)

    def given(text):
        if text.startswith("text 2 "):
            return Raw("none of them, I think")
        return [name for name in ("a", "b") if f" {name}" in f"{text} "[6:]]

    with answering(answer=given) as server:
        record = run(server, data, tmp_path / "run", shots=1)
        assert record.metrics["test/subset_accuracy"] == pytest.approx(39 / 40)
        assert "test/log_loss" not in record.metrics
        assert read_run(tmp_path / "run").right.sum() == 39
        (found,) = load_classifier(tmp_path / "run").predict(["text 5 a b"])
        assert found.labels == ("a", "b")


def test_the_saved_classifier_asks_with_the_same_prompt_and_cache_and_no_other_server(reviews, tmp_path, monkeypatch):
    with answering(answer=mood) as server:
        run(server, reviews, tmp_path / "run", shots=2, max_cost=5.0, price_input=0.0, price_output=0.0)
        before = len(server.sent)
        loaded = load_classifier(tmp_path / "run")
        assert len(server.sent) == before, "reading it asks nothing"
        assert loaded.predict(["it is a lovely film"])[0].label == "positive"
        assert loaded.asker.budget.limit == 5.0
        messages = server.asked[-1]["messages"]
        assert [one["role"] for one in messages].count("assistant") == 4
        (one,) = predict_texts(str(tmp_path / "run"), ["a dull song"])
        assert shown(one).startswith("negative")
    path = tmp_path / "run" / "classifier" / "classifier.json"
    moved = tmp_path / "moved"
    shutil.copytree(path.parent, moved)
    (moved / "classifier.json").write_text(path.read_text().replace(server.address, "http://example.org/v1"))
    with pytest.raises(ArtifactError, match=r"sends texts to http://example.org/v1.*OPENAI_BASE_URL"):
        load_classifier(moved)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://example.org/v1/")
    assert load_classifier(moved).label_names == ("negative", "positive")


def test_a_threshold_of_probabilities_that_there_are_not_is_refused(reviews, tmp_path):
    with answering(answer=mood, knows_logprobs=False) as server:
        run(server, reviews, tmp_path / "run")
        with pytest.raises(DataError, match="names labels without probabilities"):
            predict_texts(str(tmp_path / "run"), ["a dull song"], PredictOptions(threshold=0.7))
        with pytest.raises(ConfigError, match="calibration=temperature needs probabilities"):
            run(server, reviews, tmp_path / "other", calibration=CalibrationMethod.temperature)


def test_a_cross_validation_counts_the_costs_of_its_folds(reviews, tmp_path):
    with answering(answer=mood) as server:
        data = replace(reviews, folds=3, validation=None)
        record = run(server, data, tmp_path / "run", price_input=1.0, price_output=1.0)
    assert record.metrics["test/accuracy"] == 1
    assert record.costs["price_per_1000_texts"] > 0
    assert record.costs["latency_median_seconds"] > 0


def test_the_fits_to_all_folds_share_one_budget(reviews, tmp_path):
    data = replace(reviews, folds=3, validation=None)
    with answering(answer=mood) as server:
        paid = run(server, data, tmp_path / "all", price_input=1.0, price_output=1.0).costs["paid"]
        asked = len(server.asked)
        with pytest.raises(ResourceError, match="is passed"):
            run(server, data, tmp_path / "half", price_input=1.0, price_output=1.0, max_cost=paid / 2, temperature=0.1)
        assert asked < len(server.asked) < 2 * asked


def test_an_hour_of_the_machine_has_a_price(reviews, tmp_path):
    model = ClassicalModel(name="nb", classifier={"_target_": "sklearn.naive_bayes.MultinomialNB"})
    record = run_experiment(Experiment(reviews, model, price_per_hour=3.6, currency="EUR"), tmp_path / "run")
    speed = record.costs["test_examples_per_second"]
    assert record.costs["price_per_1000_texts"] == pytest.approx(1000 / speed * 0.001)
    assert record.costs["price_of_training"] == pytest.approx(record.costs["train_seconds"] * 0.001)
    assert "EUR" in (tmp_path / "run" / "report.md").read_text()
    plain = run_experiment(Experiment(reviews, model), tmp_path / "plain")
    assert not {"price_per_1000_texts", "price_of_training", "paid"} & set(plain.costs)


def test_a_file_is_predicted_with_what_is_not_known_left_empty(reviews, tmp_path):
    from textclf.predict.inputs import TextColumns
    from textclf.predict.predict_file import Ends, predict_file, scores_said

    with answering(answer=lambda text: "who knows" if "odd" in text else mood(text), knows_logprobs=False) as server:
        run(server, reviews, tmp_path / "run")
        rows = [{"text": "a lovely film", "label": "positive"}, {"text": "an odd film", "label": "negative"}]
        file = write_jsonl(tmp_path / "in.jsonl", rows)
        ends = Ends(str(file), str(tmp_path / "out.jsonl"))
        done = predict_file(str(tmp_path / "run"), ends, TextColumns(), PredictOptions(keep_bad_rows=True))
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert (first["predicted_label"], first["score"], first["probability_positive"]) == ("positive", None, None)
    assert second["predicted_label"] is None
    assert "names no label" in second["error"]
    assert "accuracy 0.5000" in " ".join(scores_said(done))
    assert "names no class, which counts as wrong" in " ".join(scores_said(done))


@pytest.mark.parametrize("kind", ["onnx", "hub", "space", "safetensors"])
def test_it_is_carried_nowhere(kind, reviews, tmp_path):
    from textclf.export.export_run import ExportOptions, export
    from textclf.tracking.find_runs import resolve_run

    with answering(answer=mood) as server:
        run(server, reviews, tmp_path / "run")
    with pytest.raises(ArtifactError, match=r"language model behind a server.*textclf.predict"):
        export(resolve_run(str(tmp_path / "run")), ExportOptions(to=kind, output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_app_asks_for_the_text_alone(reviews, tmp_path):
    from textclf.app.classifiers import load

    with answering(answer=mood) as server:
        run(server, reviews, tmp_path / "run")
        loaded = load(tmp_path / "run" / "classifier")
        before = len(server.sent)
        assert loaded.predict("a superb chair").label == "positive"
        assert loaded.weigh("a superb chair", None, "positive", 20) is None
        assert len(server.sent) == before + 1


def test_prices_in_one_currency_are_compared_and_in_two_are_not(reviews, tmp_path):
    from textclf.compare.compare_runs import compare

    model = ClassicalModel(name="nb", classifier={"_target_": "sklearn.naive_bayes.MultinomialNB"})
    with answering(answer=mood) as server:
        run(server, reviews, tmp_path / "runs" / "llm", price_input=1.0, price_output=1.0)
    run_experiment(Experiment(reviews, model, price_per_hour=1.0), tmp_path / "runs" / "nb")
    compare([tmp_path / "runs"], output=tmp_path / "same")
    said = (tmp_path / "same" / "report.md").read_text()
    assert "1,000 texts, USD" in said
    assert "figures/score_by_price.png" in said
    run_experiment(Experiment(reviews, replace(model, name="eu"), price_per_hour=1.0, currency="EUR"),
                   tmp_path / "runs" / "eu")  # fmt: skip
    compare([tmp_path / "runs"], output=tmp_path / "mixed")
    said = (tmp_path / "mixed" / "report.md").read_text()
    assert "1,000 texts, USD" not in said
    assert "Prices are in EUR and USD" in said
