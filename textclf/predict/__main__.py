"""Predict with a run.

python -m textclf.predict RUN "The cinematography was stunning, but the plot was boring."
python -m textclf.predict RUN --input reviews.csv --output predictions.csv
zcat reviews.jsonl.gz | python -m textclf.predict RUN --input - --output - | head
python -m textclf.predict RUN --input 'data/*.parquet' --output predicted
"""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.documents.escape import terminal
from textclf.predict.form_arguments import add_form_arguments
from textclf.system.disk import Aftermath
from textclf.system.environment import threads
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr
from textclf.system.wait_policy import watch_for_torch

if TYPE_CHECKING:  # with pyarrow, which a few texts do without
    from textclf.predict.inputs import TextColumns
    from textclf.predict.options import PredictOptions
    from textclf.predict.predict_file import Ends

WRITTEN = ("jsonl", "csv", "tsv", "parquet", "txt")
SHARDS_LEFT = Aftermath(
    "the shards that were finished are kept, and the same command goes on from there",
    "or name a folder in another place with --output, then give the same command again",
)
NOTHING_LEFT = Aftermath(
    "no half-written output is left",
    "or name another place with --output, then give the same command again",
)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.predict",
        description="Predict texts, or every row of a file, with a fitted run. A file of any size is read in windows; "
        "rows keep their order and their other columns. Added are label, score (the probability of the most probable "
        "class) and probability_CLASS for each class; one whose name the input has already, such as label, is called "
        "predicted_label.",
        epilog="FILE is CSV, TSV, JSON (lines or one array), Excel (.xlsx), Parquet, Arrow, Feather or plain lines "
        "(.txt); those of text also packed as .gz, .bz2, .xz, .zst or .zip. - is stdin or stdout. Of a run on pairs, "
        "texts are given two by two. The output appears under its name when it is whole. Of a pattern in quotes, such "
        "as 'data/*.parquet', each file is predicted into the folder that --output names, under its own name; the same "
        "command goes on where a killed one ended, and may be given several times at once.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run folder, an MLflow run id, models:/NAME@ALIAS, latest, or best:DATASET"
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts to predict here and now")
    parser.add_argument(
        "--input", action="append", metavar="FILE|-", help="file to predict; several, or a pattern, into a folder"
    )
    parser.add_argument("--output", metavar="FILE|-", help="file to write, or the folder of several")
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="of several inputs: predict one after another, or as many at once as there are cores or GPUs, here or in "
        "the cluster that RAY_ADDRESS names (needs the extra ray)",
    )
    add_form_arguments(parser, WRITTEN)
    parser.add_argument("--label-column", metavar="NAME", help="column of true labels; usual names are found")
    parser.add_argument(
        "--report", metavar="FOLDER", help="write an evaluation page (report.html) of an input with true labels"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="below this probability the label is abstain; of sets of labels, give labels from it on",
    )
    parser.add_argument(
        "--label-threshold",
        action="append",
        default=[],
        metavar="LABEL=T",
        help="of sets of labels, give LABEL from this probability on, in place of its own threshold; may be repeated",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="give the K most probable classes as label_1, score_1 …")
    parser.add_argument(
        "--long", action="store_true", help="write a row for each text and label: label, probability, given"
    )
    parser.add_argument("--prefix", default="", help="what the names of the added columns begin with")
    parser.add_argument(
        "--keep-bad-rows",
        action="store_true",
        help="keep rows that cannot be predicted, without a label and with the reason in a column error; else the "
        "first one stops the work",
    )
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="in CSV and TSV, put a ' in front of texts that a spreadsheet would take for formulas",
    )
    parser.add_argument("--force", action="store_true", help="replace an output that is there")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="of a transformer")
    given = parser.parse_intermixed_args()
    if given.texts and given.input and all(Path(text).is_file() for text in given.texts):
        parser.error(
            "the shell has made several names of a pattern; put it in quotes, as in --input 'data/*.parquet', or give "
            "--input before each name"
        )
    if bool(given.texts) == bool(given.input):
        parser.error("give either texts or --input FILE" + (", not both" if given.texts else ""))
    if given.input and not given.output:
        parser.error("--input goes with --output FILE (or --output - for stdout)")
    if given.texts and (given.report or given.label_column):
        parser.error("--report and --label-column go with --input")
    if given.texts and given.output:
        parser.error("texts are answered on stdout; --output goes with --input")
    return given


def _thresholds(given: list[str]) -> dict[str, float]:
    """Return the thresholds of single labels by name.

    Raises:
        ConfigError: If one is not written as LABEL=T.
    """
    from textclf.errors import ConfigError

    found = {}
    for one in given:
        name, sign, value = one.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise ConfigError(f"--label-threshold {one}: write a label and its threshold, as in refund=0.4.")
    return found


def main() -> None:
    """Predict what the command line names; exit with 1 where that cannot be done."""
    given = arguments()
    log_to_stderr()
    watch_for_torch(int(threads()))
    with cli_errors(after=SHARDS_LEFT if _names_shards(given.input or ()) else NOTHING_LEFT):
        _predict(given)


def _names_shards(inputs: Sequence[str]) -> bool:
    """Whether inputs are predicted into a folder: several names, or a pattern."""
    return len(inputs) > 1 or any(
        glob.has_magic(name) and "://" not in name and not Path(name).exists() for name in inputs
    )


def _predict(given: argparse.Namespace) -> None:
    """Do what the command line names."""
    if given.texts:
        from textclf.predict.options import PredictOptions
        from textclf.predict.texts import predict_texts, shown, trust_note

        asked = PredictOptions(given.threshold, _thresholds(given.label_threshold), top_k=given.top_k)
        for prediction in predict_texts(given.run, given.texts, asked, given.device):
            print(terminal(shown(prediction, given.top_k)))
        if note := trust_note(given.run):
            print(terminal(f"note: {note}"), file=sys.stderr)
        return
    from textclf.data.readers.text import form_of
    from textclf.errors import ConfigError
    from textclf.predict.inputs import TextColumns
    from textclf.predict.options import PredictOptions
    from textclf.predict.predict_file import PIPE, Ends, Scoring, predict_file, scores_said, summary
    from textclf.predict.rows import Kind

    options = PredictOptions(
        given.threshold,
        _thresholds(given.label_threshold),
        given.long,
        given.top_k,
        given.prefix,
        given.keep_bad_rows,
    )
    ends = Ends(
        given.input[0],
        given.output,
        Kind(given.input_format) if given.input_format else None,
        Kind(given.output_format) if given.output_format else None,
        given.force,
        form_of(given.encoding, given.delimiter, given.column_names, given.quoting),
        given.spreadsheet,
    )
    asked = TextColumns(given.text_column, given.text_pair_column, given.title_column)
    if _names_shards(given.input):
        _predict_shards(given, ends, asked, options)
        return
    if given.engine != "local":
        raise ConfigError(
            f"--engine {given.engine} hands out whole files, and --input names one; divide it into several and name "
            f"them by a pattern, as in 'data/*.parquet', or leave --engine out."
        )
    scoring = Scoring(given.label_column, Path(given.report) if given.report else None)
    done = predict_file(given.run, ends, asked, options, given.device, sys.stderr.isatty(), scoring)
    if given.output != PIPE:
        print(terminal(summary(done, given.output)), file=sys.stderr)
    for line in scores_said(done):
        print(terminal(line), file=sys.stderr)
    _tell_bad_rows(done.bad_rows, given.prefix)


def _predict_shards(given: argparse.Namespace, ends: Ends, asked: TextColumns, options: PredictOptions) -> None:
    """Predict several files into a folder."""
    from textclf.errors import ConfigError
    from textclf.predict.predict_shards import Engine, predict_shards, refuse_failed, summary_of_shards

    if given.report or given.label_column:
        raise ConfigError(
            "--report and --label-column score one file, and --input names several: leave them out, or predict a file "
            "of its own with --output FILE."
        )
    engine = Engine(given.engine)
    done = predict_shards(given.run, given.input, ends, asked, options, given.device, sys.stderr.isatty(), engine)
    for line in summary_of_shards(done):
        print(terminal(line), file=sys.stderr)
    _tell_bad_rows(done.bad_rows, given.prefix)
    refuse_failed(done)


def _tell_bad_rows(count: int, prefix: str) -> None:
    """Warn of rows that could not be predicted."""
    if count:
        rows = f"{count:,} row{'s' * (count > 1)}"
        print(f"warning: {rows} could not be predicted; the column {prefix}error says why", file=sys.stderr)


if __name__ == "__main__":
    main()
