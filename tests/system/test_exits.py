"""Commands end with one paragraph and a status, whatever went wrong."""

import pytest

from textclf.errors import DataError
from textclf.system.exits import told


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (DataError("no such column"), 1, "error: no such column\n"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 1, "error: a.csv: No such file or directory.\n"),
        (RuntimeError("odd"), 1, "error: RuntimeError: odd\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_are_one_paragraph_and_a_status(capsys, error, status, said):
    with pytest.raises(SystemExit) as ended, told():
        raise error
    assert ended.value.code == status
    assert capsys.readouterr().err == said


def test_what_goes_well_says_nothing(capsys):
    with told():
        pass
    assert capsys.readouterr() == ("", "")
