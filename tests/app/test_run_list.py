from textclf.app.run_list import find_choices, place_of, titles_of
from textclf.app.settings import Settings


def test_runs_are_listed_with_the_newest_first(outputs, pair_classifier):
    found = find_choices(Settings(outputs=str(outputs), run=str(pair_classifier)))
    assert [choice.folder.name for choice in found.choices] == ["first", "second", "bare", "pair_classifier"]
    assert [choice.folder.name for choice in found.predicting] == ["first", "second", "pair_classifier"]
    assert [choice.folder.name for choice in found.recorded] == ["first", "second", "bare"]
    assert len(found.problems) == 1
    assert "broken" in found.problems[0]
    first = found.choices[0]
    assert first.title.startswith("reviews · naive_bayes · seed 1 · macro F1 ")
    assert "no classifier kept" in found.choices[2].title
    assert place_of(found.choices, first.key) == place_of(found.choices, "nothing") == 0
    assert place_of(found.choices, found.choices[2].key) == 2


def test_a_run_named_by_its_folder_is_listed_once(outputs):
    given = Settings(outputs=str(outputs), run=str(outputs / "runs" / "first"))
    assert len(find_choices(given).choices) == 3


def test_runs_of_the_same_title_are_told_apart(outputs):
    choices = find_choices(Settings(outputs=str(outputs))).choices
    twins = titles_of([choices[0], choices[0].__class__(outputs, choices[0].classifier, choices[0].record)])
    assert len(set(twins.values())) == 2


def test_a_folder_that_is_not_there_has_no_runs(tmp_path):
    assert find_choices(Settings(outputs=str(tmp_path / "none"))).choices == ()
