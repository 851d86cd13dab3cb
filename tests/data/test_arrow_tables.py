"""Tables as datasets: nothing is computed from all that is in them."""

import pyarrow as pa
import pytest

from tests.conftest import sentences, write_jsonl
from textclf.data.arrow_tables import dataset_of
from textclf.data.in_memory import InMemoryDataset, described
from textclf.data.load import load
from textclf.data.options import FilesDataset


def test_two_of_one_table_are_alike_in_all_but_their_names():
    table = pa.table({"text": ["a", "b"], "label": [0, 1]})
    first, second = dataset_of(table), dataset_of(table)
    assert first.to_dict() == second.to_dict() == table.to_pydict()
    assert first._fingerprint != second._fingerprint


def test_what_a_program_gives_back_is_known_again():
    """Its record says what it was by its content, in whatever process it was read."""
    table = pa.table({"text": ["a", "b", "c"], "label": [0, 1, 0]})
    first, second = dataset_of(table), dataset_of(table)
    assert described(first) == described(second)
    assert described(first.select([0, 2])) == described(second.select([0, 2])) != described(second.select([0, 1]))


@pytest.mark.parametrize("in_memory", [False, True])
def test_no_name_is_computed_from_all_texts(in_memory, monkeypatch, tmp_path):
    rows = sentences(60)
    given = FilesDataset(name="files", train=str(write_jsonl(tmp_path / "train.jsonl", rows)), test_fraction=0.2)
    if in_memory:
        texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
        given = InMemoryDataset(name="memory", train=(texts, labels), test_fraction=0.2)

    def refuse(dataset):
        raise AssertionError(f"{len(dataset)} rows are hashed")

    monkeypatch.setattr("datasets.arrow_dataset.generate_fingerprint", refuse)
    assert len(load(given).train) > 20
