"""Sets of labels: every way to write them reads the same, and what cannot be meant is refused."""

import csv
import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value

from tests.conftest import write_jsonl
from textclf.data.dataset import counts_of, label_sets_of
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.data.options import FilesDataset, HubDataset, SimilarLabels, Task, UnknownLabels
from textclf.errors import ConfigError, DataError

NAMES = ["bug", "praise", "refund"]
SETS = [["bug"], ["refund", "bug"], [], ["praise"], ["refund"], ["praise", "bug"], ["refund", "praise", "bug"], ["bug"]]
TEXTS = [f"message {i} about {'abcdefg'[i % 7]}{i}" for i in range(80)]
LABELS = [SETS[i % 8] for i in range(80)]
NUMBERS = [[NAMES.index(name) for name in labels] for labels in LABELS]
COLUMNS = {name: [int(name in labels) for labels in LABELS] for name in NAMES}
ROWS = [{"text": text, "label": labels} for text, labels in zip(TEXTS, LABELS, strict=True)]
FLAGS = [{"text": text, **{name: COLUMNS[name][i] for name in NAMES}} for i, text in enumerate(TEXTS)]


def in_memory(rows, **options):
    return load(InMemoryDataset(name="m", train=rows, **options))


def changed(**by_row):
    """Return the rows with other labels, as in changed(r0=["spam"])."""
    return [row | ({"label": by_row[f"r{i}"]} if f"r{i}" in by_row else {}) for i, row in enumerate(ROWS)]


def more(**by_row):
    """Return 400 rows with some labels changed."""
    rows = [
        {"text": f"{text} of {part}", "label": label}
        for part in range(5)
        for text, label in zip(TEXTS, LABELS, strict=True)
    ]
    return [row | ({"label": by_row[f"r{i}"]} if f"r{i}" in by_row else {}) for i, row in enumerate(rows)]


def write_csv(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path, **columns):
    pq.write_table(pa.table({"text": TEXTS, **columns}), path)
    return path


def joined(by):
    return [{"text": text, "label": by.join(labels)} for text, labels in zip(TEXTS, LABELS, strict=True)]


def fasttext(path):
    lines = zip(TEXTS, LABELS, strict=True)
    path.write_text("".join("".join(f"__label__{one} " for one in labels) + text + "\n" for text, labels in lines))
    return path


FILES = {
    "lists in JSON Lines": (lambda to: write_jsonl(to / "a.jsonl", ROWS), {}),
    "numbers in JSON Lines": (
        lambda to: write_jsonl(to / "a.jsonl", [{"text": t, "label": n} for t, n in zip(TEXTS, NUMBERS, strict=True)]),
        {"label_names": NAMES},
    ),
    "a column called labels": (
        lambda to: write_jsonl(to / "a.jsonl", [{"text": row["text"], "labels": row["label"]} for row in ROWS]), {},
    ),
    "joined in JSON Lines": (lambda to: write_jsonl(to / "a.jsonl", joined("|")), {"label_separator": "|"}),
    "joined in CSV": (lambda to: write_csv(to / "a.csv", joined("; ")), {"label_separator": ";"}),
    "lists as JSON in CSV": (
        lambda to: write_csv(to / "a.csv", [row | {"label": json.dumps(row["label"])} for row in ROWS]), {},
    ),
    "lists as Python in CSV": (
        lambda to: write_csv(to / "a.csv", [row | {"label": repr(row["label"])} for row in ROWS]), {},
    ),
    "0 and 1 in CSV": (lambda to: write_csv(to / "a.csv", FLAGS), {"label_columns": NAMES}),
    "lists in Parquet": (lambda to: write_parquet(to / "a.parquet", label=LABELS), {}),
    "numbers in Parquet": (lambda to: write_parquet(to / "a.parquet", label=NUMBERS), {"label_names": NAMES}),
    "joined in Parquet": (
        lambda to: write_parquet(to / "a.parquet", label=["|".join(own) for own in LABELS]), {"label_separator": "|"},
    ),
    "0 and 1 in Parquet": (lambda to: write_parquet(to / "a.parquet", **COLUMNS), {"label_columns": NAMES}),
    "0.0 and 1.0 in Parquet": (
        lambda to: write_parquet(to / "a.parquet", **{name: [float(x) for x in own] for name, own in COLUMNS.items()}),
        {"label_columns": NAMES},
    ),
    "booleans in Parquet": (
        lambda to: write_parquet(to / "a.parquet", **{name: [x == 1 for x in own] for name, own in COLUMNS.items()}),
        {"label_columns": NAMES},
    ),
    "fastText": (lambda to: fasttext(to / "a.txt"), {}),
}  # fmt: skip
MEMORY = {
    "dicts": (ROWS, {}),
    "sets": ([row | {"label": set(row["label"])} for row in ROWS], {}),
    "frame of lists": (pd.DataFrame(ROWS), {}),
    "frame of arrays": (pd.DataFrame({"text": TEXTS, "label": [np.array(own, dtype=object) for own in LABELS]}), {}),
    "texts and lists": ((TEXTS, LABELS), {}),
    "frame of columns": (pd.DataFrame(FLAGS), {"label_columns": NAMES}),
    "frame of booleans": (pd.DataFrame(FLAGS).replace({0: False, 1: True}), {"label_columns": NAMES}),
    "Dataset": (Dataset.from_list(ROWS), {}),
    "Dataset of ClassLabels": (
        Dataset.from_dict(
            {"text": TEXTS, "label": NUMBERS},
            features=Features({"text": Value("string"), "label": Sequence(ClassLabel(names=NAMES))}),
        ),
        {},
    ),
}


@pytest.fixture(scope="module")
def meant():
    """The data as lists in memory give it."""
    return in_memory(ROWS)


def test_a_set_is_a_row_of_booleans(meant):
    assert meant.has_sets
    assert meant.label_names == tuple(NAMES)
    has = label_sets_of(meant.train, 3)
    for text, own in zip(meant.train["text"], has, strict=True):
        assert [NAMES[k] for k in np.flatnonzero(own)] == sorted(LABELS[TEXTS.index(text)])
    assert (~has.any(axis=1)).sum() > 4  # empty sets stay
    assert counts_of(meant.train, 3).tolist() == has.sum(axis=0).tolist()


@pytest.mark.parametrize("way", FILES)
def test_every_file_gives_the_same(way, tmp_path, meant):
    write, options = FILES[way]
    assert load(FilesDataset(name="m", train=str(write(tmp_path)), **options)).fingerprint == meant.fingerprint


@pytest.mark.parametrize("way", MEMORY)
def test_every_shape_in_memory_gives_the_same(way, meant):
    rows, options = MEMORY[way]
    assert in_memory(rows, **options).fingerprint == meant.fingerprint


def test_order_and_repetition_within_a_set_mean_nothing(meant):
    assert in_memory(changed(r1=["bug", "refund", "bug"])).fingerprint == meant.fingerprint


# From the Hub


def on_hub(hub, name, files):
    for path, table in files.items():
        place = hub / "datasets" / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, place)


def test_lists_of_class_labels_on_the_hub_have_the_names_that_it_declares(hub):
    """As go_emotions lies there: one configuration a folder, numbers in lists, names in the metadata."""
    features = Features({"text": Value("string"), "labels": Sequence(ClassLabel(names=NAMES)), "id": Value("string")})
    parts = {}
    for split in ("train", "validation", "test"):
        rows = Dataset.from_dict({"text": TEXTS, "labels": NUMBERS, "id": TEXTS}, features=features)
        rows.to_parquet(str(hub / f"{split}.parquet"))
        parts[f"simplified/{split}-00000-of-00001.parquet"] = pq.read_table(hub / f"{split}.parquet")
        (hub / f"{split}.parquet").unlink()
    on_hub(hub, "tests/emotions", parts)
    card = "---\nconfigs:\n- config_name: simplified\n  data_files:\n" + "".join(
        f"  - split: {split}\n    path: simplified/{split}-*\n" for split in ("train", "validation", "test")
    )
    (hub / "datasets" / "tests" / "emotions" / "README.md").write_text(card + "---\n")
    options = {"name": "go", "path": "tests/emotions", "config": "simplified", "label_column": "labels"}
    data = load(HubDataset(**options, task=Task.multi))
    assert data.label_names == tuple(NAMES)
    assert [NAMES[k] for k in data.test["label"][1]] == ["bug", "refund"]
    assert len(data.validation) == 80
    assert load(HubDataset(**options)).fingerprint == data.fingerprint  # the lists show it


def test_columns_on_the_hub_leave_out_what_nobody_judged(hub):
    """As toxic_comments lies there: a column a label, and -1 in the test rows that were never judged."""
    table = pa.table({"id": TEXTS, "comment_text": TEXTS, **COLUMNS})
    hidden = {name: [-1] * 40 + own[40:] for name, own in COLUMNS.items()}
    files = {
        "data/train-00000-of-00001.parquet": table,
        "data/test-00000-of-00001.parquet": pa.table({"id": TEXTS, "comment_text": TEXTS, **hidden}),
    }
    on_hub(hub, "tests/comments", files)
    options = {"name": "toxic", "path": "tests/comments", "text_column": "comment_text", "label_columns": NAMES}
    with pytest.raises(DataError, match=r"40 of 80 rows of test .*40 no label"):
        load(HubDataset(**options))
    data = load(HubDataset(**options, max_rejected=0.6))
    assert len(data.test) == 40
    assert data.rejected["test"] == {"no label": 40}
    assert label_sets_of(data.test, 3).tolist() == [[COLUMNS[name][i] == 1 for name in NAMES] for i in range(40, 80)]


# Labels: missing, alike, mapped, rare


def test_no_label_is_no_empty_set(tmp_path):
    data = load(FilesDataset(name="m", train=str(write_jsonl(tmp_path / "a.jsonl", more(r3=None)))))
    assert data.rejected == {"train": {"no label": 1}}
    empty = sum(not labels for split in (data.train, data.validation, data.test) for labels in split["label"])
    assert empty == 50


def test_many_missing_labels_hide_no_sets(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", label=[None] * 20 + LABELS[20:])
    data = load(FilesDataset(name="m", train=str(path), max_rejected=0.5))
    assert data.has_sets
    assert data.rejected == {"train": {"no label": 20}}


def test_similar_labels_are_merged_within_a_set(meant, caplog):
    data = in_memory(changed(r0=["Bug", "bug"], r8=["bug "]), on_similar_labels=SimilarLabels.merge)
    assert data.fingerprint == meant.fingerprint
    with pytest.raises(DataError, match="differ only in upper and lower case"):
        in_memory(changed(r0=["Bug"]), on_similar_labels=SimilarLabels.fail)


def test_a_map_renames_merges_and_drops_labels_and_keeps_the_texts():
    data = in_memory(ROWS, label_map={"bug": "problem", "refund": "money"})
    whole = [labels for split in (data.train, data.validation, data.test) for labels in label_sets_of(split, 2)]
    assert data.label_names == ("money", "problem")
    assert len(whole) == 80
    assert sum(not labels.any() for labels in whole) == 20  # the empty ones, and those of praise alone
    one = in_memory(ROWS, label_map={"bug": "problem", "refund": "problem", "praise": "fine"})
    assert sum(len(labels) for split in (one.train, one.validation, one.test) for labels in split["label"]) == 90


def test_a_rare_label_is_left_out_and_its_texts_stay(meant, caplog):
    data = in_memory(changed(r0=["spam", "bug"], r10=["spam"]), min_class_examples=5)
    assert data.fingerprint == meant.fingerprint
    assert "leaves out 1 of 4 labels: spam (2)" in caplog.text


# Subsets, groups, folds, languages


def test_subsets_keep_the_shares_of_labels():
    data = in_memory(more(), max_train_examples=80, max_eval_examples=40)
    assert [len(data.train), len(data.validation), len(data.test)] == [80, 40, 40]
    np.testing.assert_allclose(counts_of(data.train, 3) / 80, [0.625, 0.375, 0.375], atol=0.1)
    other = in_memory(more(), max_train_examples=80, max_eval_examples=40, draw_seed=5)
    assert other.test_fingerprint == data.test_fingerprint
    assert other.fingerprint != data.fingerprint


def test_slices_keep_the_shares_of_labels_and_of_none():
    data = in_memory(more())
    for split in (data.train, data.validation, data.test):
        has = label_sets_of(split, 3)
        np.testing.assert_allclose(has.mean(axis=0), [0.625, 0.375, 0.375], atol=0.09)
        assert (~has.any(axis=1)).mean() == pytest.approx(0.125, abs=0.09)


@pytest.mark.parametrize("folds", [None, 4])
def test_groups_stay_whole_and_every_label_is_on_both_sides(folds):
    """Texts without labels lie in few groups, and a label is never the rarest one of its texts."""
    rows = [row | {"author": f"author {i % 20}"} for i, row in enumerate(more())]
    rows = [row | {"label": [*row["label"], "all"] if row["label"] else []} for row in rows]
    data = in_memory(rows, group_column="author", folds=folds)
    author = {row["text"]: row["author"] for row in rows}
    parts = [data.fold(part) for part in data.folds.parts] if data.folds else [data]
    for part in parts:
        splits = [part.train, part.validation, part.test]
        groups = [{author[text] for text in split["text"]} for split in splits]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
        assert all(counts_of(split, 4).min() > 0 for split in splits)


def test_groups_too_few_for_a_label_are_told_of():
    rows = [
        row | {"author": f"author {min(i, 3)}"} for i, row in enumerate(changed(r0=["odd"], r1=["odd"], r2=["odd"]))
    ]
    with pytest.raises(DataError, match=r"every label on both sides"):
        in_memory(rows, group_column="author")


def test_folds_keep_the_shares_of_labels_and_copies_together():
    rows = more() + [{"text": row["text"].upper(), "label": row["label"]} for row in more()[:40]]
    rows += more()[:40]
    data = in_memory(rows, folds=4)
    for part in data.folds.parts:
        fold = data.fold(part)
        has = label_sets_of(fold.test, 3)
        np.testing.assert_allclose(has.mean(axis=0), [0.625, 0.375, 0.375], atol=0.05)
        assert not set(fold.test["text"]) & set(fold.train["text"])
    with pytest.raises(DataError, match=r"at least 4 different texts with each label: 'odd' has 3"):
        in_memory(changed(r0=["odd"], r1=["odd"], r2=["odd"]), folds=4)


def test_languages_are_kept_beside_sets():
    rows = [row | {"lang": ["en", "de"][i // 8 % 2]} for i, row in enumerate(more())]
    data = in_memory(rows, language_column="lang", train_languages=["en"])
    assert set(data.train["language"]) == {"en"}
    assert set(data.test["language"]) == {"en", "de"}
    assert data.has_sets


# Further examples to train on


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ([{"text": "a new one", "label": ["refund", "bug"]}, {"text": "nothing", "label": []}], {}),
        ([{"text": "a new one", "label": "bug|refund"}, {"text": "nothing", "label": ""}], {"label_separator": "|"}),
        ([{"text": "a new one", "label": ["bug", "refund"]}, {"text": "nothing", "label": []}], {"label_separator": "|"}),
        (
            [{"text": "a new one", "bug": 1, "praise": 0, "refund": 1}, {"text": "nothing", "bug": 0, "praise": 0, "refund": 0}],
            {"label_columns": NAMES},
        ),
        ([{"text": "a new one", "label": ["bug", "refund"]}, {"text": "nothing", "label": []}], {"label_columns": NAMES}),
    ],
)  # fmt: skip
def test_further_examples_may_be_written_as_lists_or_as_the_data(written, options, tmp_path):
    rows = FLAGS if "label_columns" in options else joined("|") if options else ROWS
    data = in_memory(rows, **options, extra_train=str(write_jsonl(tmp_path / "more.jsonl", written)))
    assert data.train["text"][-2:] == ["a new one", "nothing"]
    assert [list(labels) for labels in data.train["label"][-2:]] == [[0, 2], []]
    assert data.extra_train["examples"] == 2


def test_further_examples_replace_earlier_ones_and_know_no_other_label(tmp_path):
    written = [{"text": "one", "label": ["bug"]}, {"text": "one", "label": ["praise", "bug"]}]
    path = write_jsonl(tmp_path / "more.jsonl", written)
    data = in_memory(ROWS, extra_train=str(path))
    assert [list(labels) for labels in data.train["label"][-1:]] == [[0, 1]]
    assert data.extra_train == {"file": str(path), "examples": 1, "superseded": 1}
    strange = str(write_jsonl(tmp_path / "strange.jsonl", [{"text": "one", "label": ["bug", "Praise"]}]))
    with pytest.raises(DataError, match=r"strange.jsonl:1: label 'Praise' is not one of bug, praise, refund"):
        in_memory(ROWS, extra_train=strange)


def test_a_column_of_further_examples_that_is_no_label_is_left_out(tmp_path):
    flags = [row | {"odd": int(i < 2)} for i, row in enumerate(FLAGS)]
    path = write_jsonl(tmp_path / "more.jsonl", [{"text": "one", "odd": 1, "bug": 1, "praise": 0, "refund": 0}])
    columns = ["odd", *NAMES]
    data = in_memory(flags, label_columns=columns, min_class_examples=3, extra_train=str(path))
    assert data.label_names == tuple(NAMES)
    assert list(data.train["label"][-1:][0]) == [0]


def test_several_labels_of_a_further_example_are_refused_where_a_text_has_one_class(tmp_path):
    rows = [{"text": text, "label": NAMES[i % 2]} for i, text in enumerate(TEXTS)]
    path = write_jsonl(tmp_path / "more.jsonl", [{"text": "one", "label": ["bug", "praise"]}])
    with pytest.raises(DataError, match="1 several labels"):
        in_memory(rows, extra_train=str(path))


# What is asked, and what is refused


def one_paragraph(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (changed(r0=[1]), {}, r"must be of one kind, but they are lists of integers .*lists of strings"),
        (changed(r0="bug"), {}, r"must be of one kind, but they are strings .*Write all of them as lists of strings"),
        (changed(r0=[["bug"]]), {}, r"label is not a class"),
        (ROWS, {"test": [{"text": "x y", "label": ["bug", "spam"]}]}, r"m, test, row 0: label 'spam' is not one of bug"),
        (ROWS, {"test": [{"text": "x y", "label": ["Bug"]}]}, r"It looks like the class 'bug'"),
        (ROWS, {"label_names": ["bug", "praise"]}, r"label 'refund' is not one of bug, praise"),
        (ROWS, {"label_names": [*NAMES, "spam"]}, r"no text of train has the label spam"),
        ([row | {"spam": 0} for row in FLAGS], {"label_columns": [*NAMES, "spam"]}, r"no text of train has the label spam"),
        ([row | {"label": [*row["label"], "all"]} for row in ROWS], {}, r"every text of train has the label all"),
        (changed(r0=["odd"]), {}, r"1 label has too few texts in train: 'odd' has 1"),
        ([row | {"label": []} for row in ROWS], {}, r"80 of 80 are empty.*dataset.task=multi"),
        ([row | {"label": []} for row in ROWS], {"task": Task.multi}, r"no text of train has a label in column 'label'"),
        ([{"text": t, "a": 0, "b": 0} for t in TEXTS], {"label_columns": ["a", "b"]}, r"no text of train has any label"),
        ([row | {"label": row["label"][:1]} for row in ROWS], {}, r"lists of one label, and 10 of 80 are empty"),
        ([row | {"label": ["a"] * (i % 2)} for i, row in enumerate(ROWS)], {"task": Task.multi}, r"a is the only label"),
        ([FLAGS[0] | {"bug": 2}, *FLAGS[1:]], {"label_columns": NAMES}, r"'bug'.* must hold 0 or 1.*got '2' in row 0"),
        ([FLAGS[0] | {"bug": "yes"}, *FLAGS[1:]], {"label_columns": NAMES}, r"must hold 0 or 1.*got 'yes'"),
        ([FLAGS[0] | {"bug": 0.5}, *FLAGS[1:]], {"label_columns": NAMES}, r"must hold 0 or 1.*got '0.5'"),
        (Dataset.from_list(ROWS).add_column("b", LABELS), {"label_columns": ["label", "b"]}, r"but holds list<item: string>"),
        (FLAGS, {"label_columns": ["bug", "prase"]}, r"has no column 'prase' .*Did you mean 'praise'"),
        ([row | {"label": row["label"] or "none"} for row in joined("|")], {},
         r"holds 'refund|bug' beside 'refund', 'bug'.*label_separator='\|'.*dataset.task=single"),
        ([row | {"label": row["label"] or "none"} for row in joined("|")], {"task": Task.multi}, r"in dataset.label_names"),
        (ROWS, {"task": Task.single}, r"30 several labels, 10 no label.*or say dataset.task=multi"),
        (ROWS, {"examples_per_class": 4}, r"a text has several labels or none; use dataset.max_train_examples"),
        (Dataset.from_dict({"text": TEXTS, "label": [0, 1] * 40}), {"label_separator": "|"},
         r"label_separator takes strings apart, and column 'label' holds int64"),
        (ROWS, {"min_class_examples": 40}, r"1 of 3 labels has at least 40 texts in train"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_paragraph(rows, options, message):
    with pytest.raises(DataError, match=message) as error:
        in_memory(rows, **options)
    one_paragraph(error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": Task.single, "label_separator": "|"}, "task=single gives each text one class"),
        ({"task": Task.single, "label_columns": NAMES}, "task=single gives each text one class"),
        ({"label_columns": NAMES, "label_separator": "|"}, "two ways to write sets of labels"),
        ({"label_columns": ["bug"]}, "must be two columns or more"),
        ({"label_columns": NAMES, "label_names": ["a", "b", "c"]}, "label_names must be left out"),
        ({"label_columns": NAMES, "label_map": {"bug": "a", "praise": "b"}}, "label_map cannot rename them"),
        ({"task": Task.multi, "examples_per_class": 4}, "use max_train_examples"),
        ({"label_separator": ""}, "must be what stands between labels"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(ConfigError, match=message):
        InMemoryDataset(name="m", train=ROWS, **options)


def test_what_is_asked_can_be_answered(caplog):
    caplog.set_level(logging.INFO)
    rows = [row | {"label": row["label"] or "none"} for row in joined("|")]
    assert in_memory(rows, label_separator="|").label_names == ("bug", "none", "praise", "refund")
    assert not in_memory(rows, task=Task.single).has_sets
    maybe = [row | {"label": row["label"][:1]} for row in ROWS]
    assert in_memory(maybe, task=Task.multi).has_sets
    assert in_memory(ROWS).has_sets
    assert "holds lists of labels, so each text has a set of them (dataset.task=multi)" in caplog.text


def test_unknown_labels_may_be_left_out_with_their_rows():
    test = [{"text": "x y", "label": ["bug", "spam"]}, {"text": "z", "label": []}]
    data = in_memory(ROWS, test=test, unknown_labels=UnknownLabels.drop)
    assert data.rejected == {"test": {"unknown label": 1}}
    assert [list(labels) for labels in data.test["label"]] == [[]]


def test_lists_of_one_label_are_classes():
    assert not in_memory([row | {"label": ["ab"[i % 2]]} for i, row in enumerate(ROWS)]).has_sets
