"""Exported graphs say what the originals say, run without torch, and are refused where they do not."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    DebertaConfig,
    DistilBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
    XLNetConfig,
)

from tests.conftest import make_data
from textclf import load_classifier
from textclf.errors import ArtifactError, ConfigError
from textclf.export import export_run
from textclf.export import onnx as export_onnx
from textclf.export.export_run import ExportOptions, export
from textclf.export.onnx import quantise, write_pipeline, write_transformer
from textclf.models.options import ClassicalModel, LongText, TransformerModel, Truncation
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.loading import load_checkpoint
from textclf.system.unfinished import claimed
from textclf.tracking.find_runs import RunReference
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

NAMES = ("negative", "positive")
TEXTS = [
    "it is a lovely film",
    "an awful lamp and it stays that way " * 6,
    "",
    " \n",
    "Ünïcode ﬁ İstanbul ß 日本語 ١٢ 😀",
    "don't 3.5 x_y a\x00b",
    "dull",
]
SMALL = {"num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64}
FAMILIES = {
    "bert": BertConfig(**SMALL, vocab_size=120, initializer_range=0.15),
    "distilbert": DistilBertConfig(
        n_layers=2, n_heads=2, dim=32, hidden_dim=64, vocab_size=120, initializer_range=0.15
    ),
    "roberta": RobertaConfig(**SMALL, vocab_size=120, pad_token_id=0, initializer_range=0.15),
    "xlnet": XLNetConfig(d_model=32, n_layer=2, n_head=2, d_inner=64, vocab_size=120, pad_token_id=0),
    "deberta": DebertaConfig(**SMALL, vocab_size=120, relative_attention=True, pos_att_type="c2p|p2c", pad_token_id=0),
    "xlm-roberta": XLMRobertaConfig(**SMALL, vocab_size=120, pad_token_id=0),
}


@pytest.fixture(scope="module")
def transformer(tiny_checkpoint):
    options = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=16)
    classifier = load_checkpoint(options, NAMES, seed=1)
    classifier.has_pairs = False
    return classifier


def fitted(vectorizer=None, classifier="sklearn.linear_model.LogisticRegression", **options):
    vectorizer = {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"} | (vectorizer or {})
    model = ClassicalModel(name="m", vectorizer=vectorizer, classifier={"_target_": classifier} | options)
    return fit(model, make_data(), TorchTrainer(), RunContext())[0]


def run_of(classifier, folder, texts=TEXTS * 4):
    """Write what a run leaves of a classifier: its folder and the predictions."""
    classifier.save(folder / "classifier")
    labels = [NAMES[label] for label in classifier.probabilities(texts).argmax(axis=1)]
    pd.DataFrame({"text": texts, "label": labels}).to_parquet(folder / "predictions.parquet")
    return RunReference("test", folder / "classifier", folder)


@pytest.mark.parametrize("pairs", [None, TEXTS[::-1]], ids=["texts", "pairs"])
@pytest.mark.parametrize(
    "lengths",
    [
        Lengths(16),
        Lengths(16, Truncation.tail),
        Lengths(16, Truncation.head_tail),
        Lengths(16, long_text=LongText.sliding_window, window_overlap=4),
    ],
    ids=["head", "tail", "head_tail", "windows"],
)
def test_a_transformer_says_the_same_as_a_graph(transformer, tmp_path, pairs, lengths):
    classifier = TransformerClassifier(
        label_names=NAMES, model=transformer.model, tokenizer=transformer.tokenizer, lengths=lengths, temperature=1.5
    )
    write_transformer(classifier, tmp_path)
    exported = load_classifier(tmp_path)
    np.testing.assert_allclose(exported.probabilities(TEXTS, pairs), classifier.probabilities(TEXTS, pairs), atol=2e-6)
    assert exported.predict_proba([]).shape == (0, 2)


def test_attention_is_traced_as_plain_products_and_is_the_models_own_afterwards(transformer, tmp_path):
    import onnx

    assert transformer.model.config._attn_implementation == "sdpa"
    write_transformer(transformer, tmp_path)
    assert transformer.model.config._attn_implementation == "sdpa"
    steps = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert "IsNaN" not in steps  # the guard of torch's attention against tokens that attend to nothing


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_graph_with_and_without_8_bit_weights(family, tiny_checkpoint, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    tokenizer.padding_side = "left" if family == "xlnet" else "right"
    model = AutoModelForSequenceClassification.from_config(FAMILIES[family])
    if not hasattr(model.config, "type_vocab_size") or model.config.type_vocab_size < 2:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    classifier = TransformerClassifier(label_names=NAMES, model=model, tokenizer=tokenizer, lengths=Lengths(16))
    write_transformer(classifier, tmp_path)
    expected = classifier.probabilities(TEXTS)
    np.testing.assert_allclose(load_classifier(tmp_path).probabilities(TEXTS), expected, atol=2e-6)
    quantise(tmp_path)
    found = load_classifier(tmp_path).probabilities(TEXTS)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert not np.array_equal(found, expected), "the weights are not 8-bit"


@pytest.mark.parametrize(
    ("vectorizer", "classifier"),
    [
        ({"sublinear_tf": True, "ngram_range": [1, 2]}, "sklearn.linear_model.LogisticRegression"),
        ({"sublinear_tf": True}, "sklearn.svm.LinearSVC"),
        ({"lowercase": False}, "sklearn.linear_model.LogisticRegression"),
        ({"_target_": "sklearn.feature_extraction.text.CountVectorizer"}, "sklearn.naive_bayes.MultinomialNB"),
        (
            {"_target_": "sklearn.feature_extraction.text.CountVectorizer", "binary": True},
            "textclf.models.classical.nb_svm.NBSVM",
        ),
    ],
    ids=["logreg", "svm", "case", "naive_bayes", "nb_svm"],
)
def test_a_pipeline_says_the_same_as_a_graph(vectorizer, classifier, tmp_path):
    original = fitted(vectorizer, classifier)
    write_pipeline(original, tmp_path)
    texts = [*TEXTS, "lovely lovely lovely film", "It Is A LOVELY film; it's GREAT", "so_fine fine-tent"]
    np.testing.assert_allclose(load_classifier(tmp_path).probabilities(texts), original.probabilities(texts), atol=1e-4)


def test_the_sets_of_operators_are_named_in_one_order(tmp_path, monkeypatch):
    """Whatever the order of a set in this process; and the maker of onnxruntime is told nothing."""
    import onnxruntime
    from onnx import load

    told = []
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: told.append(1), raising=False)
    write_pipeline(fitted({"sublinear_tf": True}), tmp_path)
    domains = [used.domain for used in load(tmp_path / "model.onnx").opset_import]
    assert len(domains) == 3
    assert domains == sorted(domains)
    load_classifier(tmp_path)
    assert told


def test_pipelines_whose_words_a_graph_cannot_find_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="analyzer='char_wb'"):
        write_pipeline(fitted({"analyzer": "char_wb"}), tmp_path)
    pairs = ClassicalModel(name="m", classifier={"_target_": "sklearn.linear_model.LogisticRegression"})
    classifier, _ = fit(pairs, make_data(pairs=True), TorchTrainer(), RunContext())
    with pytest.raises(ArtifactError, match="begins with a ColumnTransformer"):
        write_pipeline(classifier, tmp_path)


def test_an_export_is_checked_and_predicts_without_torch(transformer, tmp_path, capsys):
    located = run_of(transformer, tmp_path / "run")
    output = export(located, ExportOptions("onnx", tmp_path / "out", command="again"))
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("predict with it: python -m textclf.predict ")
    assert "same label to 100 %" in said
    report = json.loads((output / "export.json").read_text())
    assert (report["check"]["examples"], report["command"]) == (28, "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]

    code = (
        "import json, sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'sklearn', 'datasets', 'onnx', 'skops', 'pandas'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from textclf import load_classifier\n"
        "print(json.dumps(load_classifier(sys.argv[1]).probabilities(json.loads(sys.argv[2])).tolist()))\n"
    )
    texts = [text for text in TEXTS if "\x00" not in text]
    done = subprocess.run([sys.executable, "-c", code, output, json.dumps(texts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), transformer.probabilities(texts), atol=2e-6)


def test_8_bit_weights_that_lose_too_much_are_refused_unless_forced(transformer, tmp_path, monkeypatch, capsys):
    located = run_of(transformer, tmp_path / "run")
    other = load_checkpoint(
        TransformerModel(name="tiny", checkpoint=str(located.classifier), max_length=16), NAMES, seed=1
    )
    other.model.classifier.weight.data *= -1

    def spoil(folder):
        (folder / "model.onnx").unlink()
        write_transformer(other, folder)

    monkeypatch.setattr(export_onnx, "quantise", spoil)
    with pytest.raises(ArtifactError, match=r"cost \d+\.\d+ points .* Nothing was written"):
        export(located, ExportOptions("onnx-int8", tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "the refused export was left"
    export(located, ExportOptions("onnx-int8", tmp_path / "out", force=True))
    assert "kept by --force" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "export.json").read_text())["check"]["loss_points"] > 1


def test_what_cannot_be_checked_is_refused_unless_forced(transformer, tmp_path):
    transformer.save(tmp_path / "bare")
    bare = RunReference("bare", tmp_path / "bare")
    with pytest.raises(ArtifactError, match="no test examples lie beside"):
        export(bare, ExportOptions("onnx", tmp_path / "out"))
    export(bare, ExportOptions("onnx", tmp_path / "out", force=True))
    assert load_classifier(tmp_path / "out").label_names == NAMES


def test_an_export_is_never_overwritten(transformer, tmp_path):
    located = run_of(transformer, tmp_path / "run")
    output = export(located, ExportOptions("safetensors", tmp_path / "out"))
    with pytest.raises(ArtifactError, match="never overwritten"):
        export(located, ExportOptions("safetensors", tmp_path / "out"))
    np.testing.assert_array_equal(load_classifier(output).probabilities(TEXTS), transformer.probabilities(TEXTS))


def test_of_two_exports_to_one_folder_the_second_is_told_so_and_the_first_goes_on(transformer, tmp_path):
    located = run_of(transformer, tmp_path / "run")
    with claimed(tmp_path / "out", folder=True) as first:
        (first / "half.bin").write_text("half")
        with pytest.raises(ArtifactError, match=r"out is being written by another process \(number \d+\)"):
            export(located, ExportOptions("safetensors", tmp_path / "out"))
        assert (first / "half.bin").exists()
    export(located, ExportOptions("safetensors", tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize(
    ("target", "said"), [("onnx-int8", "classical pipeline"), ("safetensors", "is of the family 'classical'")]
)
def test_a_pipeline_has_no_weights_of_that_kind(target, said, tmp_path):
    with pytest.raises(ArtifactError, match=said):
        export(run_of(fitted(), tmp_path / "run"), ExportOptions(target, tmp_path / "out"))


def test_a_fault_of_the_exporter_leaves_nothing(transformer, tmp_path, monkeypatch):
    located = run_of(transformer, tmp_path / "run")

    def broken(*_args, **_options):
        raise RuntimeError("no such operator")

    monkeypatch.setattr("torch.onnx.export", broken)
    with pytest.raises(ArtifactError, match="no such operator"):
        export(located, ExportOptions("onnx", tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "onnx", "push": "me/it"}, "--push goes with"),
        ({"to": "hub", "push": "it"}, "owner/name"),
        ({"to": "onnx", "max_loss": -1}, "0 or more"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**options)


def test_damaged_exports_are_named(transformer, tmp_path):
    write_transformer(transformer, tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="no usable graph"):
        load_classifier(tmp_path)
    write_transformer(transformer, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match="no usable tokenizer"):
        load_classifier(tmp_path)


def test_the_command_explains_itself_without_heavy_imports():
    code = "import sys, textclf.export.__main__; print({'torch', 'sklearn', 'pandas', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert export_run.TOLERANCE < 0.01
