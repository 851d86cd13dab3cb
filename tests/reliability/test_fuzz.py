"""Bad input ends in a paragraph: the short form, and that a traceback would be found."""

import pytest

from tests.reliability import fuzz


@pytest.mark.parametrize(("kind", "seeds"), [("overrides", range(12)), ("file", range(50))])
def test_bad_input_ends_in_a_paragraph(kind, seeds, tmp_path):
    ended = {fuzz.TRIES[kind](seed, tmp_path / str(seed)) for seed in seeds}
    assert len(ended) > 1


def test_a_parquet_file_that_names_a_column_in_two_ways_ends_in_a_paragraph(tmp_path):
    assert fuzz.try_file(906, tmp_path) != "loaded"


def test_a_traceback_would_be_found(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyError("label")

    monkeypatch.setattr("textclf.data.load.read_files", fail)
    with pytest.raises(AssertionError, match="KeyError"):
        fuzz.try_file(1, tmp_path)


@pytest.mark.parametrize("said", ["", 'File "x.py", line 3', "\x1b[31mred", "x" * 20_000])
def test_an_error_that_is_no_paragraph_would_be_found(said):
    with pytest.raises(AssertionError):
        fuzz._check_paragraph(said, "input")


def test_inputs_depend_on_the_seed_alone():
    assert fuzz.file_of(7) == fuzz.file_of(7) != fuzz.file_of(8)
    assert fuzz.overrides_of(7) == fuzz.overrides_of(7) != fuzz.overrides_of(8)
