"""Every planted fault is found, and a clean dataset has none."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from tests.audit.factory import COMMON, as_data, clean, rows
from tests.audit.test_near_duplicates import changed
from textclf.audit.audit import audit
from textclf.audit.finding import Severity, by_share, excerpt
from textclf.audit.lengths import _advice
from textclf.audit.options import AuditOptions
from textclf.audit.report import audit_blocks, draw
from textclf.documents.document import to_markdown
from textclf.documents.wording import rounded_percent
from textclf.errors import ConfigError

GERMAN = "Das Hotel liegt mitten in der Stadt, aber die Zimmer waren leider nicht sauber und sehr laut in der Nacht {}."
FRENCH = (
    "Nous avons passé une excellente semaine dans cet hôtel, le personnel était vraiment très aimable avec nous {}."
)

QUICK = AuditOptions(label_errors=False, language_sample=5)
"""For tests of neither labels nor languages."""


def planted():
    train, validation, test = clean()
    test[0] = list(train[0])
    test[1] = [changed(train[1][0], 1), train[1][1]]
    validation[0] = list(train[2])
    train[10] = list(train[12])
    train[14] = [train[15][0], 1 - train[15][1]]
    train[20] = ["", 0]
    train[22] = ["?!", 0]
    train[30][0] += " <br /> and &amp; more"
    train[31][0] += " a\x07bell"
    train[32][0] += " the cafÃ© was closed and the crÃªpes were gone"
    train[33][0] += " zero\u200bwidth"
    train[34][0] += " lost \ufffd character"
    train[35][0] += " private \ue123 use"
    train[36][0] += " https://example.org/page"
    train[37][0] += " dash\x96here"
    for i in range(12):
        train[40 + i][0] = (GERMAN if i % 2 else FRENCH).format(f"{COMMON[i]} {COMMON[i + 20]}")
    train[60][0] = " ".join(np.random.default_rng(0).choice(COMMON, 400))
    flipped = list(range(100, 124))
    for i in flipped:
        train[i][1] = 1 - train[i][1]
    tiny = [
        [f"a neutral remark on the {COMMON[i]} by the {COMMON[-i]} and nothing else at all", 2] for i in range(1, 6)
    ]
    data = as_data([*train, *tiny[:3]], validation, [*test, *tiny[3:]], ("negative", "positive", "neutral"))
    return data, flipped


@pytest.fixture(scope="module")
def spoiled(tiny_checkpoint):
    data, flipped = planted()
    options = AuditOptions(max_length=64)
    return audit(data, options, AutoTokenizer.from_pretrained(tiny_checkpoint)), flipped


@pytest.mark.parametrize(
    ("code", "rows_of_train"),
    [
        ("duplicates", {12, 15}),  # 15 repeats 14, with another label
        ("contradictions", {14, 15}),
        ("empty", {20}),
        ("nearly_empty", {22}),
        ("markup", {30}),
        ("control_characters", {31}),
        ("mojibake", {32, 37}),
        ("zero_width_characters", {33}),
        ("replacement_characters", {34}),
        ("private_use_characters", {35}),
        ("addresses", {36}),
    ],
)
def test_a_planted_fault_is_found_and_nothing_beside_it(spoiled, code, rows_of_train):
    found, _ = spoiled
    finding = found.finding(code)
    assert finding is not None
    assert {example.example for example in finding.examples if example.split == "train"} == rows_of_train
    assert finding.count == finding.by_split["train"] == len(rows_of_train)
    assert finding.meaning
    assert finding.remedy


def test_planted_leaks_are_found(spoiled):
    found, _ = spoiled
    leak = found.finding("leakage_train_test")
    assert leak.severity is Severity.problem
    assert leak.by_split == {"word for word": 1, "nearly the same": 1}
    assert [(e.example, e.remark.split(":")[0].split("like ")[-1]) for e in leak.examples] == [
        (0, "the same as train 0 (negative)"),
        (1, "train 1 (positive)"),
    ]
    assert found.finding("leakage_train_validation").count == 1
    assert found.finding("leakage_validation_test") is None


def test_a_tiny_class_is_a_problem(spoiled):
    finding = spoiled[0].finding("tiny_class")
    assert finding.severity is Severity.problem
    assert "neutral (3)" in finding.meaning
    assert spoiled[0].finding("few_test_examples").count == 1
    assert spoiled[0].finding("imbalance") is not None


def test_over_long_texts_are_found(spoiled):
    finding = spoiled[0].finding("truncation")
    assert finding.examples[0].example == 60
    lengths = spoiled[0].lengths
    tokens = dict(zip(lengths.tokens.rows.tolist(), lengths.tokens.lengths.tolist(), strict=True))
    assert finding.count == sum(length > 64 for length in tokens.values())
    assert lengths.words[60] == 400


def test_other_languages_are_found(spoiled):
    finding = spoiled[0].finding("languages")
    assert finding.severity is Severity.warning
    assert {"de 1.", "fr 1."} <= {
        word
        for word in (f"{a} {b[:2]}" for a, b in zip(finding.meaning.split(), finding.meaning.split()[1:], strict=False))
    }
    assert {e.remark for e in finding.examples} == {"de", "fr"}


def test_flipped_labels_lead_the_list(spoiled):
    found, flipped = spoiled
    assert found.finding("label_errors").severity is Severity.warning
    first = found.label_errors.rows[: len(flipped)]
    assert len(set(first.tolist()) & set(flipped)) >= 0.85 * len(flipped)
    assert "not judged" in found.label_errors.remark  # the tiny class


def test_clean_data_has_nothing_worse_than_a_note(tiny_checkpoint):
    options = AuditOptions(max_length=10_000)
    found = audit(as_data(*clean()), options, AutoTokenizer.from_pretrained(tiny_checkpoint))
    worse = [f.code for f in found.findings if f.severity is not Severity.note]
    assert worse == ["tokenizer_fit"]  # which is true of a tokenizer of single letters
    assert "examples, 2 classes" in found.summary()


def test_random_labels_are_not_called_wrong():
    rng = np.random.default_rng(0)
    parts = [[[text, int(rng.integers(2))] for text, _ in part] for part in clean()]
    found = audit(as_data(*parts), AuditOptions(language_sample=5))
    assert not found.label_errors.trusted
    assert found.finding("label_errors") is None


def test_the_worst_comes_first(spoiled):
    order = [list(Severity).index(finding.severity) for finding in spoiled[0].findings]
    assert order == sorted(order)


def test_a_shift_of_classes_is_found_and_chance_is_not():
    train, validation, _ = clean()
    shifted = [row for i, row in enumerate(rows(400, 9)) if row[1] == 0 or i % 4 == 1]
    found = audit(as_data(train, validation, shifted), QUICK)
    assert found.finding("label_shift_test").severity is Severity.warning
    assert found.finding("label_shift_validation") is None


def test_unspaced_scripts_are_measured_by_character(tiny_checkpoint):
    chinese = "酒店的位置很好离车站很近服务员也很热情我们住得非常舒服下次还会再来这里住宿推荐给大家"
    arabic = "كان الفندق نظيفا جدا والموظفون في غاية اللطف وسنعود إليه بالتأكيد في الصيف القادم إن شاء الله"
    thai = "โรงแรมสะอาดมากและพนักงานใจดีมากอาหารเช้าก็อร่อยเราจะกลับมาพักอีกแน่นอนในปีหน้า"
    parts = []
    for size in (60, 30, 30):
        parts.append([[f"{(chinese, arabic, thai)[i % 3][: -1 - i // 6]}", i % 2] for i in range(size)])
    found = audit(as_data(*parts), AuditOptions(label_errors=False), AutoTokenizer.from_pretrained(tiny_checkpoint))
    per = {row.language: row.per for row in found.languages.rows}
    assert per == {"zh": "character", "th": "character", "ar": "word"}
    assert all(row.fertility for row in found.languages.rows)


def test_the_datas_own_languages_are_believed():
    parts = clean()
    languages = tuple(["en"] * (len(part) - 1) + ["sw"] for part in parts)
    found = audit(as_data(*parts, languages=languages), AuditOptions(label_errors=False))
    assert found.languages.from_data
    assert {row.language: row.examples for row in found.languages.rows} == {"en": 377, "sw": 3}
    assert found.finding("languages").severity is Severity.note


def test_one_text_of_a_pair_that_recurs_is_noted_apart():
    train, validation, test = (
        [[text, f"is it {i} of them", label] for i, (text, label) in enumerate(part)] for part in clean()
    )
    test[0] = [train[0][0], "something else is asked", 0]
    test[1] = list(train[1])
    found = audit(as_data(train, validation, test), QUICK)
    assert found.finding("first_text_recurs").count == 1
    assert found.finding("first_text_recurs").severity is Severity.note
    assert found.finding("leakage_train_test").count == 1


def test_without_a_tokenizer_nothing_is_said_of_tokens():
    found = audit(as_data(*clean()), AuditOptions(max_length=4, label_errors=False, language_sample=5))
    assert found.lengths.tokens is None
    assert found.finding("truncation") is None


def test_options_are_checked():
    with pytest.raises(ConfigError, match="near_threshold"):
        AuditOptions(near_threshold=0)


def test_shares_in_words():
    assert [rounded_percent(x) for x in (0, 0.0001, 0.0042, 0.123, 0.996, 1)] == [
        "0 %",
        "< 0.1 %",
        "0.4 %",
        "12 %",
        "> 99 %",
        "100 %",
    ]
    assert by_share(0.5, problem=0.1) is Severity.problem
    assert by_share(0.05, problem=0.1, warning=0.06) is Severity.note
    assert excerpt("x" * 500, around=400, width=100) == "…" + "x" * 100 + "…"
    assert excerpt("short\n text") == "short text"


def test_the_table_shows_more_classes_than_the_picture(tmp_path):
    names = [f"class {number}" for number in range(45)]
    found = audit(as_data(rows(180, 1, 45), rows(90, 2, 45), rows(90, 3, 45), names), AuditOptions(label_errors=False))
    page = to_markdown(audit_blocks(found, draw(found, tmp_path)), tmp_path)
    assert "The 40 largest classes; 5 more are in audit.json" in page
    assert "The 15 largest and the 15 smallest of 45 classes are shown." in page


@pytest.mark.parametrize(
    ("lengths", "said"), [([10] * 97 + [50] * 3, "model.max_length=50"), ([10] * 50 + [40] * 50, "model.max_length=40")]
)
def test_the_advice_on_cut_texts_never_shortens_what_is_read(lengths, said):
    advice = _advice(np.array(lengths), 32)
    assert said in advice
    assert advice.startswith("Nothing, as a rule") == (said == "model.max_length=50")
