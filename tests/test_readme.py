"""The documents: commands compose or parse, files they name are there, figures are those of committed reports."""

import argparse
import csv
import functools
import json
import re
import runpy
import shlex
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from textclf.experiment import config
from textclf.experiment.arguments import CONF, choices_of, named_models, of_own_model
from textclf.experiment.config import build_all

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "experiments/README.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    ]
}
README = DOCUMENTS["README.md"]
GUIDE = DOCUMENTS["experiments/README.md"]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")


def commands(text):
    """Yield the commands of a document that begin a line of a code block, or stand in a line of text."""
    blocks = FENCED.findall(text)
    named = [code for code in INLINE.findall(FENCED.sub("", text)) if not re.fullmatch(r"python -m [\w.]+", code)]
    for line in [*(line for block in blocks for line in block.splitlines()), *named]:
        for part in line.split("|"):
            if re.match(r"\s*(torchrun .*-m textclf|python -m |python experiments/)", part):
                yield re.sub(r"(?<=\S)\s+#.*", "", part).strip()


COMMANDS = sorted({command for text in DOCUMENTS.values() for command in commands(text)})
RUNS = [command for command in COMMANDS if " -m textclf.run" in command and "--help" not in command]
OTHERS = [command for command in COMMANDS if " -m textclf.run" not in command]


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
    return picked if picked[0] != picked[1] else picked[:1]


@functools.cache
def build_overrides(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for values in combinations(overrides):
            if "study=multilingual" in values and "dataset=files" not in values:
                continue  # needs a dataset that the page does not name
            if (named := sorted(named_models(values))) and not any(value.startswith("model=") for value in values):
                values = [f"model={named[0]}", *values]
            build_all(compose("config", of_own_model(values, "minilm")))


@pytest.fixture(autouse=True, scope="module")
def _schemas():
    config.register()


def test_there_are_commands_in_every_document_that_should_have_some():
    assert len(RUNS) > 25
    assert len(OTHERS) > 20
    modules = {words[words.index("-m") + 1] for words in map(shlex.split, OTHERS) if "-m" in words}
    assert modules >= {
        f"textclf.{door}" for door in ("audit", "compare", "predict", "export", "recommend", "register", "sync", "app")
    }


@pytest.mark.parametrize("command", RUNS)
def test_each_run_composes_and_builds(command):
    words = shlex.split(command.partition("textclf.run")[2])
    if "--from-run" in words or "--config-dir" in words:
        return  # its overrides come from a record, its choices from a folder of the reader's own
    words = words[: words.index("--cfg")] if "--cfg" in words else words
    overrides = [word for word in words if not word.startswith("-") and "launcher=ray" not in word]
    build_overrides(*(word for word in overrides if "launcher.ray" not in word))  # an extra that the lock leaves out


class ParsedError(Exception):
    """A command has read its arguments and goes no further."""


@pytest.mark.parametrize("command", OTHERS)
def test_each_other_command_parses(command, monkeypatch, tmp_path):
    def stopping(parse):
        def parsed(self, *given, **named):
            raise ParsedError(parse(self, *given, **named))

        return parsed

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, stopping(getattr(argparse.ArgumentParser, name)))
    words = shlex.split(command)
    words = words[2:] if words[1] == "-m" else words[1:]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(ParsedError):
        if words[0].endswith(".py"):
            runpy.run_path(str(ROOT / words[0]), run_name="__main__")
        else:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    if words[0] == "textclf.audit" and "--config-dir" not in words:
        build_overrides(*(word for word in words[1:] if "=" in word and not word.startswith("-")))


def test_targets_and_extras_that_they_name_are_there():
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = "\n".join(DOCUMENTS.values())
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert len(targets) >= 10
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    named = set(re.findall(r"pip install -e '\.\[(\w+)\]'", text))
    assert len(named) >= 4
    assert named <= set(extras)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_paths_lead_somewhere(name):
    text = DOCUMENTS[name]
    for link in re.findall(r"\]\((?!http)([^)\s]+)\)", text):
        path, _, heading = link.partition("#")
        target = (ROOT / name).parent / path
        assert target.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", said).lower().replace(" ", "-") for said in headings}, link
    for path in re.findall(r"`((?:conf|docs|experiments|hydra_plugins|tests|textclf)/[\w/.-]+)`", text):
        assert (ROOT / path).exists() or path == "conf/model/camembert.yaml", path


def test_every_page_of_docs_is_linked_from_the_readme():
    assert len(README.encode()) <= 10_000
    for name in DOCUMENTS:
        assert name == "README.md" or f"]({name})" in README, name


def test_ones_own_csv_is_on_the_first_screen():
    assert "dataset=files dataset.train=reviews.csv" in "\n".join(README.splitlines()[:40])


def test_every_study_is_explained():
    for study in choices_of("study"):
        assert f"`{study}`" in GUIDE, study


def test_every_choice_is_in_the_readme():
    for group in ("dataset", "model", "trainer", "tracker"):
        for choice in choices_of(group):
            assert f"`{choice}`" in README, choice


@pytest.mark.parametrize("name", [name for name, text in DOCUMENTS.items() if "```yaml" in text])
def test_the_yaml_composes(name, tmp_path):
    text = re.search(r"```yaml\n(.*?)```", DOCUMENTS[name], re.DOTALL)[1]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "camembert.yaml").write_text(text)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "model=camembert"])
    assert build_all(cfg)["model"].checkpoint == "almanach/camembert-base"


def test_the_python_of_the_documents_names_what_exists():
    snippets = re.findall(r"```python\n(.*?)```", "\n".join(DOCUMENTS.values()), re.DOTALL)
    assert len(snippets) >= 2
    for code in snippets:
        for line in code.splitlines():
            if line.startswith(("from ", "import ")):
                exec(line, {})
        compile(code, "document", "exec")


def test_the_data_from_python_loads():
    from textclf.data.load import load

    code = next(code for code in re.findall(r"```python\n(.*?)```", DOCUMENTS["docs/data.md"], re.DOTALL))
    names = {}
    exec(code, names)
    assert len(load(names["dataset"]).test) == 1


# Figures: a number with decimals or a unit is either in MEASURED, which says in which cell of which committed report it
# is to be looked up, or in STATED (defaults, bounds, versions). One that is in neither, or is listed and not on the page,
# fails; so the test cannot come to check less than the pages say.

FIGURE = re.compile(
    r"(?<![\w./=-])\d[\d,]*(?:\.\d+)?(?: ± \d\.\d+)?"
    r"(?:(?<=\.\d)|(?<=\.\d\d)|(?<=\.\d{3})|(?<=\.\d{4})|(?= ?(?:%|×|MB|GB|ms\b|s\b|texts/s|points|times\b)))(?![\d.]*\d)"
)
FIGURE_PAGES = ["README.md", "experiments/README.md", *sorted(name for name in DOCUMENTS if name.startswith("docs/"))]

BASELINES = "baseline_vs_transformer/report.md"
FOLDS = "baseline_vs_transformer_folds/report.md"
HALVES = "bert_vs_distilbert/report.md"
QUICK = "quickstart/report.md"
LADDER = "cost_ladder/report.md"
FEW = "few_shot/report.md"
SETS = "multi_label/report.md"
LABELS = "llm_or_labels/report.md"
F1 = "macro F1, mean ± sd"
TRAINING, INFERENCE, CLASSICAL = (f"speed/{page}.md" for page in ("training", "inference", "classical"))
ENCODING = "speed/encoding.md"
OURS = "textclf, predict_proba"
TRAINED = "textclf, trainer=torch"
MEASURED = {  # page: (figure, report, row, column), or (figure, report, words before)
    "README.md": [
        ("0.718", "baseline_vs_transformer/runs.csv", "minilm", "test/macro_f1"),
        ("0.688", BASELINES, "tfidf_logreg", F1),
        ("0.698", QUICK, "minilm", F1),
        ("28.5", QUICK, "minilm", "training"),
        ("10.8", QUICK, "minilm", "one text"),
        ("0.688", QUICK, "tfidf_logreg", F1),
        ("0.1", QUICK, "tfidf_logreg", "training"),
        ("0.5", QUICK, "tfidf_logreg", "one text"),
        ("0.670", QUICK, "minilm_embeddings", F1),
        ("2.8", QUICK, "minilm_embeddings", "training"),
        ("10.9", QUICK, "minilm_embeddings", "one text"),
        ("0.634", QUICK, "naive_bayes", F1),
        ("7.2", QUICK, "naive_bayes", "training"),
        ("0.3", QUICK, "naive_bayes", "one text"),
    ],
    "docs/models.md": [
        ("0.725 ± 0.020", SETS, "minilm imbalance=asymmetric", F1),
        ("0.557 ± 0.023", SETS, "minilm imbalance=none", F1),
    ],
    "experiments/README.md": [
        ("0.693 ± 0.018", BASELINES, "minilm", F1),
        ("0.688", BASELINES, "tfidf_logreg", F1),
        ("12.7", BASELINES, "minilm|tfidf_logreg", "detectable"),
        ("27.4", BASELINES, "minilm", "training"),
        ("0.1", BASELINES, "tfidf_logreg", "training"),
        ("0.670", BASELINES, "minilm_embeddings", F1),
        ("2.8", BASELINES, "minilm_embeddings", "training"),
        ("0.739", FOLDS, "minilm", F1),
        ("0.674", FOLDS, "tfidf_logreg", F1),
        ("0.011", FOLDS, "minilm|tfidf_logreg", "p"),
        ("0.665", FOLDS, "naive_bayes", F1),
        ("0.007", FOLDS, "minilm|naive_bayes", "p"),
        ("0.662", FOLDS, "minilm_embeddings", F1),
        ("0.002", FOLDS, "minilm|minilm_embeddings", "p"),
        ("7.7", FOLDS, "minilm|tfidf_logreg", "detectable"),
        ("0.633 ± 0.028", HALVES, "minilm_half", F1),
        ("0.693 ± 0.018", HALVES, "minilm", F1),
        ("0.006", HALVES, "minilm_half|minilm", "p"),
        ("0.698", QUICK, "minilm", F1),
        ("0.688", QUICK, "tfidf_logreg", F1),
        ("0.634", QUICK, "naive_bayes", F1),
        ("0.670", QUICK, "minilm_embeddings", F1),
        ("1.00", QUICK, "minilm|tfidf_logreg", "p"),
        ("0.48", QUICK, "minilm|naive_bayes", "p"),
        ("0.634", LADDER, "naive_bayes", F1),
        ("43.2", LADDER, "naive_bayes", "training"),
        ("0.692 ± 0.021", LADDER, "minilm", F1),
        ("84.8", LADDER, "minilm", "training"),
        ("63.5", LADDER, "minilm_lora", "training"),
        ("0.644 ± 0.018", FEW, "setfit train=32-per-class", F1),
        ("816.3", FEW, "setfit train=32-per-class", "training"),
        ("0.599 ± 0.009", FEW, "minilm_embeddings train=32-per-class", F1),
        ("3.1", FEW, "minilm_embeddings train=32-per-class", "training"),
        ("4.2", "null_pairs.md", "two-way in up to "),
        ("8.5", "mteb_few_shot/report.md", "multilingual-e5-base beats LaBSE by "),
        ("0.690", LABELS, "minilm_zero_shot", F1),
        ("0.837 ± 0.023", LABELS, "minilm_embeddings train=64-per-class", F1),
        ("0.753", SETS, "minilm_embeddings", F1),
        ("0.608 ± 0.011", SETS, "nb_svm", F1),
        ("14.5", SETS, "minilm_embeddings beats nb_svm by "),
        ("0.557 ± 0.023", SETS, "minilm imbalance=none", F1),
        ("0.725 ± 0.020", SETS, "minilm imbalance=asymmetric", F1),
    ],
    "docs/comparing.md": [
        ("6.1", "calibration.md", "the two-way test made a false claim in at most "),
        ("5.7", "calibration.md", "accuracy: at a nominal 5 %, the two-way test made a false claim in at most "),
        ("3.5", "calibration.md", "macro_f1, judged on: false claims in "),
        ("58.4", "calibration.md", "A true difference is found in "),
        ("60", "calibration.md", "a t test over seeds alone in up to "),
        ("66", "calibration.md", "McNemar's test on one seed in up to "),
        ("99.3", "crossing_calibration.md", "the intervals hold the true crossing in "),
        ("95.8", "crossing_calibration.md", "on average and "),
        ("68.8", "crossing_calibration.md", "as the estimate is; of all cells "),
        ("2.0", "table_calibration.md", "With the number of test examples known, at most "),
        ("5.7", "table_calibration.md", "Without it, at most "),
        ("29", "table_calibration.md", "about these very test examples, and up to "),
    ],
    "docs/speed.md": [
        ("21.7", TRAINING, TRAINED, "examples/s"),
        ("2.74", TRAINING, TRAINED, "× the example script"),
        ("1.65", TRAINING, TRAINED, "× the best settings"),
        ("9.5", "speed/training_imdb.md", TRAINED, "examples/s"),
        ("1.24", "speed/training_imdb.md", TRAINED, "× the example script"),
        ("16.4", "speed/training_rte.md", TRAINED, "examples/s"),
        ("2.37", "speed/training_rte.md", TRAINED, "× the example script"),
        ("1.62", "speed/training_rte.md", TRAINED, "× the best settings"),
        ("74", "speed/inference_rte.md", OURS, "texts/s"),
        ("2.04", "speed/inference_rte.md", OURS, "× stock loop"),
        ("2.05", "speed/inference_rte.md", OURS, "× pipeline"),
        ("99", INFERENCE, "textclf, exported to onnx", "texts/s"),
        ("2.78", INFERENCE, "textclf, exported to onnx", "× stock loop"),
        ("3.11", INFERENCE, "textclf, exported to onnx", "× pipeline"),
        ("78", INFERENCE, OURS, "texts/s"),
        ("2.15", INFERENCE, OURS, "× stock loop"),
        ("2.75", INFERENCE, OURS, "× pipeline"),
        ("123", INFERENCE, "textclf, exported to onnx-int8", "texts/s"),
        ("3.65", INFERENCE, "textclf, exported to onnx-int8", "× stock loop"),
        ("4.07", INFERENCE, "textclf, exported to onnx-int8", "× pipeline"),
        ("31.9", INFERENCE, OURS, "median, ms"),
        ("2.68", INFERENCE, OURS, "median, ms", "× pipeline"),
        ("19.8", INFERENCE, "textclf, exported to onnx", "median, ms"),
        ("4.31", INFERENCE, "textclf, exported to onnx", "median, ms", "× pipeline"),
        ("14.7", CLASSICAL, "textclf, tfidf_logreg", "seconds"),
        ("0.9032", CLASSICAL, "textclf, tfidf_logreg", "accuracy"),
        ("3.82", CLASSICAL, "textclf, tfidf_logreg", "× scikit-learn"),
        ("23.9", CLASSICAL, "fastText", "seconds"),
        ("0.8954", CLASSICAL, "fastText", "accuracy"),
        ("16.1", CLASSICAL, "textclf, nb_svm", "seconds"),
        ("0.9090", CLASSICAL, "textclf, nb_svm", "accuracy"),
        ("3.24", CLASSICAL, "textclf, nb_svm", "× scikit-learn"),
        ("115.94", "speed/scaling.md", "tfidf_logreg, rows | 1,000: 0.15 s | 1,024,000: "),
        ("1.09", "speed/scaling.md", "tfidf_logreg, rows", "of the last step"),
        ("25.46", "speed/scaling.md", "hashed_logreg, rows | 1,000: 0.12 s | 1,024,000: "),
        ("0.75", "speed/scaling.md", "hashed_logreg, rows", "of the last step"),
        ("55", ENCODING, "textclf", "texts/s"),
        ("1.42", ENCODING, "textclf", "× SentenceTransformer.encode"),
        ("10,204", ENCODING, "static_minilm", "texts/s"),
        ("185", ENCODING, "static_minilm", "× textclf with MiniLM"),
    ],
}
STATED = {
    "README.md": ["3.11"],
    "docs/comparing.md": ["0.01", "95", "95", "95", "95", "0.05", "5", "80"],
    "docs/data.md": ["0.2", "0.1", "1"],
    "docs/using.md": ["1.0"],
    "experiments/README.md": ["3.6"],
}


def prose(text):
    """Return a document without code, addresses of links, and quotations, which are held to reports in whole."""
    text = re.sub(r"^>.*\n", "", FENCED.sub("", text), flags=re.MULTILINE)
    return re.sub(r"\]\([^)]*\)|https?://\S+", "]", INLINE.sub("", text))


def plain(text):
    return re.sub(r"\s+", " ", text.replace("\\", "").replace("**", ""))


def tables(report):
    """Yield each table of a Markdown report as a list of rows by column."""
    lines = [plain(line) for line in (RESULTS / report).read_text("utf-8").splitlines()]
    for start, line in enumerate(lines):
        if line.startswith("|") and not lines[start - 1].startswith("|"):
            end = next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))
            header, _, *rows = (
                [cell.strip() for cell in row.strip().strip("|").split("|")] for row in lines[start:end]
            )
            yield header, rows


def measured(report, *place):
    """Return what a report says at a place: a row, the columns its table must have, the last being the one wanted."""
    if report.endswith(".csv"):
        with (RESULTS / report).open(encoding="utf-8") as file:
            values = [float(row[place[1]]) for row in csv.DictReader(file) if place[0] in row.values()]
        return f"{max(values):.3f}"
    if len(place) == 1:
        found = re.findall(re.escape(place[0]) + r"([\d.,]+\d)", plain((RESULTS / report).read_text("utf-8")))
        return max(found, key=float)
    row, *columns = place
    names = row.split("|")
    for header, rows in tables(report):
        for cells in rows:
            if cells[: len(names)] == names and set(columns) <= set(header):
                return cells[header.index(columns[-1])]
    raise AssertionError(f"{report} has no {columns[-1]} of {row}")


def test_what_was_tried_and_lost_is_what_was_counted():
    from tests.reliability.torture import in_words

    said = in_words(json.loads((RESULTS / "torture.json").read_text()))
    assert said in " ".join((ROOT / "README.md").read_text().split())


@pytest.mark.parametrize("page", FIGURE_PAGES)
def test_every_figure_is_that_of_a_committed_report(page):
    found = Counter(FIGURE.findall(prose(DOCUMENTS[page])))
    listed = Counter([figure for figure, *_ in MEASURED.get(page, [])] + STATED.get(page, []))
    assert found == listed, f"not listed: {found - listed}; not on the page: {listed - found}"
    for figure, report, *place in MEASURED.get(page, []):
        said = measured(report, *place)
        assert re.match(re.escape(figure) + r"(?!\.?\d)", said), f"{page} says {figure}, {report} {said} ({place})"


def test_figures_are_found_and_wrong_ones_noticed():
    assert FIGURE.findall("a 0.729, b 1,250 MB, c 0.710 ± 0.020 and 66 %, 200 texts, 3 × as fast, 800 ms") == [
        *("0.729", "1,250", "0.710 ± 0.020", "66", "3", "800"),
    ]
    assert sum(map(len, MEASURED.values())) >= 40
    assert set(MEASURED) | set(STATED) <= set(FIGURE_PAGES)
    assert not re.match("0.729(?!\\.?\\d)", measured(QUICK, "minilm", F1))


def test_quotations_are_those_of_committed_reports():
    quoting = README + DOCUMENTS["docs/comparing.md"]
    quoted = [
        re.sub(r"^> ?", "", quote, flags=re.MULTILINE) for quote in re.findall(r"(?:^>.*\n)+", quoting, re.MULTILINE)
    ]
    reports = [plain(path.read_text("utf-8")) for path in RESULTS.rglob("report.md")]
    assert quoted
    for quote in quoted:
        assert any(plain(quote).strip() in report for report in reports), quote
