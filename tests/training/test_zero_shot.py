"""Zero-shot classifiers: by label embeddings and by natural language inference, without a label of train."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from tests.conftest import make_data, make_set_data, make_tiny_bert, unlisted
from tests.models.embeddings.encoders import write_encoder
from textclf import InMemoryDataset, load_classifier
from textclf.data.dataset import TextData
from textclf.data.options import Task
from textclf.errors import ArtifactError, ConfigError
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.experiment.report import course_words
from textclf.export.onnx import write_embeddings
from textclf.models.bundle import libraries_needed, modules_needed
from textclf.models.options import Imbalance, LabelEmbeddingsModel, ZeroShotModel
from textclf.models.saved import read_description
from textclf.models.transformer import entailment
from textclf.models.transformer.entailment import check_is_nli
from textclf.training.fit import check, draws_seed, fit
from textclf.training.options import Precision, TorchTrainer
from textclf.training.result import RunContext

TEXTS = ["it is a lovely lamp", "an awful tent and it stays that way", "dull", "it is a great chair " * 12]
WORDS = {"negative": "a dull thing", "positive": "a great thing"}
CLASSES = ("contradiction", "entailment", "neutral")
FP32 = TorchTrainer(precision=Precision.fp32)


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint, tmp_path_factory):
    return write_encoder(tiny_checkpoint, tmp_path_factory.mktemp("encoders") / "plain", normalize=False, length=32)


def write_nli(folder, classes=CLASSES, head=True):
    """Write a random checkpoint of natural language inference with these classes; return its folder."""
    make_tiny_bert(folder)
    config = AutoConfig.from_pretrained(folder)
    config.id2label, config.label2id = dict(enumerate(classes)), {name: k for k, name in enumerate(classes)}
    if not head:
        config.save_pretrained(folder)
        return folder
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_config(config)
    model.classifier.weight.data *= 5  # a random head hardly tells texts apart
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def nli(tmp_path_factory):
    return write_nli(tmp_path_factory.mktemp("nli") / "checkpoint")


def model_of(kind, folder, **changes):
    options = {"max_length": 48, "hypothesis": "it is {}."} if kind is ZeroShotModel else {}
    return kind(**{"name": "zero", "checkpoint": str(folder), **options, **changes})


def fitted(model, data, trainer=FP32):
    return fit(model, data, trainer, RunContext())


def described(data: TextData) -> TextData:
    return replace(data, label_descriptions=WORDS)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.fixture(params=[LabelEmbeddingsModel, ZeroShotModel])
def model(request, encoder, nli):
    return model_of(request.param, encoder if request.param is LabelEmbeddingsModel else nli)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_label_embeddings_give_cosines_over_the_temperature(encoder):
    options = model_of(LabelEmbeddingsModel, encoder, template="it is {}", temperature=0.1)
    classifier, _ = fitted(options, described(make_data()))
    texts = unit(classifier.encoder.encode(TEXTS))
    words = unit(classifier.encoder.encode(["it is a dull thing", "it is a great thing"]))
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), softmax(texts @ words.T / 0.1), atol=1e-5)


def test_of_sets_each_label_is_a_half_at_a_deviation_above_the_mean_of_train(encoder):
    data = make_set_data()
    classifier, _ = fitted(model_of(LabelEmbeddingsModel, encoder), data)
    words = unit(classifier.encoder.encode(list(data.label_names)))
    train, own = (unit(classifier.encoder.encode(list(texts))) @ words.T for texts in (data.train["text"], TEXTS))
    expected = sigmoid((own - train.mean(axis=0) - train.std(axis=0)) / 0.05)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-4)


def test_of_pairs_label_embeddings_take_the_mean_of_both_cosines(encoder):
    classifier, _ = fitted(model_of(LabelEmbeddingsModel, encoder), described(make_data(pairs=True)))
    words = unit(classifier.encoder.encode(list(WORDS.values())))
    first, second = (unit(classifier.encoder.encode(texts)) @ words.T for texts in (TEXTS, TEXTS[::-1]))
    found = classifier.predict_proba(TEXTS, TEXTS[::-1])
    np.testing.assert_allclose(found, softmax((first + second) / 2 / 0.05), atol=1e-4)


@pytest.mark.parametrize("sets", [False, True])
def test_hypotheses_are_judged_as_by_the_pipeline_of_transformers(nli, sets):
    data = make_set_data() if sets else described(make_data())
    options = model_of(ZeroShotModel, nli, hypothesis="it is {} and that stays.")
    classifier, _ = fitted(options, data)
    judge = pipeline(
        "zero-shot-classification",
        model=AutoModelForSequenceClassification.from_pretrained(nli),
        tokenizer=AutoTokenizer.from_pretrained(nli),
        device="cpu",
    )
    words = list(data.labels_in_words)
    short = TEXTS[:3]
    expected = np.zeros((len(short), len(words)))
    for row, found in enumerate(judge(short, words, hypothesis_template="it is {} and that stays.", multi_label=sets)):
        for label, score in zip(found["labels"], found["scores"], strict=True):
            expected[row, words.index(label)] = score
    np.testing.assert_allclose(classifier.predict_proba(short), expected, atol=1e-5)
    assert np.ptp(expected) > 0.02


def test_many_texts_are_read_in_parts_and_come_out_the_same(nli, monkeypatch):
    classifier, _ = fitted(model_of(ZeroShotModel, nli), make_data())
    expected = classifier.predict_proba(TEXTS)
    monkeypatch.setattr(entailment, "WINDOW", 4)  # two texts with two labels each
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-5)
    assert classifier.predict_proba([]).shape == (0, 2)


def test_a_checkpoint_of_two_classes_serves_too_in_any_order(tmp_path):
    folder = write_nli(tmp_path / "two", ("ENTAILMENT", "not_entailment"))
    classifier, _ = fitted(model_of(ZeroShotModel, folder), make_set_data())
    logits = classifier.nli.logits(TEXTS[:1], classifier.hypotheses[:1])[0]
    np.testing.assert_allclose(classifier.predict_proba(TEXTS[:1])[0, 0], sigmoid(logits[0] - logits[1]), atol=1e-6)


@pytest.mark.parametrize("sets", [False, True])
def test_no_label_of_train_is_read_and_nothing_is_drawn(model, sets):
    data = make_set_data() if sets else make_data()
    spoilt = data.train.map(lambda row: {"label": []} if sets else {"label": 0})
    (one, fit_one), (other, _) = fitted(model, data), fitted(model, replace(data, train=spoilt))
    np.testing.assert_array_equal(one.predict_proba(TEXTS), other.predict_proba(TEXTS))
    assert (fit_one.train_examples, fit_one.num_trainable, fit_one.reads_labels) == (0, 0, False)
    assert not fit_one.draws_seed
    assert not draws_seed(model)


def test_two_training_texts_are_enough(model):
    data = make_data()
    classifier, _ = fitted(model, replace(data, train=data.train.select([0, 1])))
    assert classifier.predict_proba(TEXTS).shape == (4, 2)


@pytest.mark.parametrize(
    ("kind", "precision"),
    [("classes", Precision.bf16), ("classes", Precision.fp32), ("pairs", Precision.fp32), ("sets", Precision.bf16)],
)
def test_read_again_it_predicts_the_same(model, tmp_path, monkeypatch, kind, precision):
    for module in ("embeddings.sentence_encoder", "transformer.classifier"):
        monkeypatch.setattr(f"textclf.models.{module}.cpu_is_fast_at_bf16", lambda: True)
    data = make_set_data() if kind == "sets" else make_data(pairs=kind == "pairs")
    classifier, result = fitted(model, data, TorchTrainer(precision=precision))
    assert result.precision == precision.value
    given = (TEXTS, TEXTS[::-1]) if kind == "pairs" else (TEXTS,)
    expected = classifier.predict_proba(*given)
    classifier.save(tmp_path / "saved")
    again = load_classifier(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(*given), expected)
    assert again.has_sets == (kind == "sets")
    plain = fitted(model, data)[0].predict_proba(*given)
    np.testing.assert_allclose(expected, plain, atol=1e-6 if precision is Precision.fp32 else 0.2)
    assert (expected != plain).any() == (precision is Precision.bf16)


def _change(folder, change):
    path = unlisted(folder) / "classifier.json"
    about = json.loads(path.read_text())
    change(about["options"])
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda options: options["hypotheses"].pop(), "1 hypotheses for 2 labels"),
        (lambda options: options.pop("hypotheses"), "hypotheses must be a list of strings"),
        (lambda options: options.update(classes=["a", "b", "c"]), "needs a class entailment"),
        (lambda options: options.update(classes=[*CLASSES, "more"]), "do not belong together"),
        (lambda options: options.update(precision="fp8"), "precision must be one of"),
    ],
)
def test_a_damaged_one_is_refused(nli, tmp_path, change, said):
    fitted(model_of(ZeroShotModel, nli), make_data())[0].save(tmp_path / "saved")
    _change(tmp_path / "saved", change)
    with pytest.raises(ArtifactError, match=said):
        load_classifier(tmp_path / "saved")


def test_what_is_exported_has_the_code_that_reads_it(nli, tmp_path):
    fitted(model_of(ZeroShotModel, nli), make_data())[0].save(tmp_path / "saved")
    description = read_description(tmp_path / "saved")
    assert "textclf.models.transformer.entailment" in modules_needed(description)
    assert not [name for name in modules_needed(description) if name.startswith("textclf.training")]
    assert {"torch", "transformers", "tokenizers", "safetensors"} <= set(libraries_needed(description))


def test_label_embeddings_have_a_graph_in_onnx(encoder, tmp_path):
    classifier, _ = fitted(model_of(LabelEmbeddingsModel, encoder), described(make_data()))
    write_embeddings(classifier, tmp_path)
    np.testing.assert_allclose(
        load_classifier(tmp_path).predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-5
    )


@pytest.mark.parametrize("classes", [("LABEL_0", "LABEL_1"), ("entailment", "neutral"), ("yes", "contradiction")])
def test_a_checkpoint_without_inference_is_refused_before_data_are_read(tmp_path, classes):
    folder = write_nli(tmp_path / "other", classes)
    with pytest.raises(
        ConfigError, match=r"needs a class entailment and one of .* config\.json names .* fine-tuned on"
    ):
        check(model_of(ZeroShotModel, folder), FP32)


def test_a_checkpoint_without_its_head_is_refused(tmp_path):
    folder = write_nli(tmp_path / "headless", head=False)
    check_is_nli(AutoConfig.from_pretrained(folder), "headless")
    with pytest.raises(
        ArtifactError, match=r"lacks weights of its own classifier \(classifier.bias, .* Choose another"
    ):
        fitted(model_of(ZeroShotModel, folder), make_data())


def test_a_hypothesis_that_leaves_no_room_is_refused(nli):
    data = replace(make_data(), label_descriptions={"positive": "a very great thing " * 6})
    with pytest.raises(ConfigError, match="over half of model.max_length=48"):
        fitted(model_of(ZeroShotModel, nli), data)


def test_a_long_text_is_cut_and_its_hypothesis_is_not(nli):
    classifier, _ = fitted(model_of(ZeroShotModel, nli), make_data())
    tokens = classifier.nli.tokenize(["it is a dull lamp " * 30], [classifier.hypotheses[0]])
    own = classifier.nli.tokenizer(classifier.hypotheses[0], add_special_tokens=False)["input_ids"]
    assert len(tokens.ids) == 48
    assert tokens.ids[-len(own) - 1 : -1].tolist() == own


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (LabelEmbeddingsModel, {"template": "no place"}, r"template must have one \{\}"),
        (LabelEmbeddingsModel, {"temperature": 0.0}, "temperature must be above 0"),
        (LabelEmbeddingsModel, {"normalize": False}, "contradicts the cosine"),
        (LabelEmbeddingsModel, {"imbalance": Imbalance.oversample}, "zero-shot models have none"),
        (ZeroShotModel, {"hypothesis": "{} or {}"}, r"hypothesis must have one \{\}"),
        (ZeroShotModel, {"max_length": 1}, "max_length must be at least 4"),
        (ZeroShotModel, {"imbalance": Imbalance.focal}, "zero-shot models have none"),
    ],
)
def test_options_that_contradict_it_are_refused(kind, changes, said):
    with pytest.raises(ConfigError, match=said):
        model_of(kind, "anywhere", **changes)


@pytest.fixture(scope="module")
def rows():
    data = make_data(40, 20)
    return [
        {"text": text, "label": data.label_names[label]}
        for text, label in zip(data.train["text"], data.train["label"], strict=True)
    ]


def test_a_run_says_that_no_labelled_example_was_used(encoder, rows, tmp_path):
    dataset = InMemoryDataset(name="tiny", train=rows, label_descriptions=dict(WORDS))
    record = run_experiment(Experiment(dataset, model_of(LabelEmbeddingsModel, encoder), FP32), tmp_path / "run")
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Nothing was trained: 0 labelled examples used." in report
    assert "examples served to score it alone" in report
    assert "zero-shot, from what the labels mean in words" in report
    assert re.search(r"positive +\| a great thing", report)
    assert "One wording: other words" in report
    assert record.fit["train_examples"] == 0
    assert record.data["label_descriptions"] == WORDS
    assert load_classifier(tmp_path / "run").predict(TEXTS)[0].label in WORDS


def test_a_run_of_sets_says_that_thresholds_were_chosen_by_labels(nli, rows, tmp_path):
    sets = [row | {"label": [row["label"]] if row["label"] == "positive" else []} for row in rows]
    sets[0]["label"] = ["positive", "negative"]
    dataset = InMemoryDataset(name="tiny", train=[*sets, *sets[:1] * 9], task=Task.multi, label_column="label")
    record = run_experiment(Experiment(dataset, model_of(ZeroShotModel, nli), FP32), tmp_path / "run")
    assert "Only the thresholds were chosen by the labels of the" in (tmp_path / "run" / "report.md").read_text()
    half = replace(record, config=record.config | {"model": record.config["model"] | {"label_thresholds": "half"}})
    assert "served to score it alone" in course_words(half)
    warm = replace(record, config=record.config | {"model": record.config["model"] | {"calibration": "temperature"}})
    assert "Only the temperature and the thresholds were chosen" in course_words(warm)
