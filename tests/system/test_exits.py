"""Commands end with one paragraph and a status, whatever went wrong."""

import subprocess
import sys

import pytest

from textclf.errors import DataError
from textclf.system.exits import cli_errors


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
    with pytest.raises(SystemExit) as ended, cli_errors():
        raise error
    assert ended.value.code == status
    assert capsys.readouterr().err == said


def test_what_goes_well_says_nothing(capsys):
    with cli_errors():
        pass
    assert capsys.readouterr() == ("", "")


def test_a_command_that_fails_needs_no_hydra():
    code = (
        "import sys\n"
        "from textclf.system.exits import explain\n"
        "print(explain(RuntimeError('odd')), explain(MemoryError()))\n"
        "assert 'hydra' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("RuntimeError: odd The memory ran out (MemoryError).")
