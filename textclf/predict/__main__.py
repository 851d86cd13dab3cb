"""Predict with a run.

python -m textclf.predict RUN "The cinematography was stunning, but the plot was boring."
python -m textclf.predict RUN --input reviews.csv --output predictions.csv
zcat reviews.jsonl.gz | python -m textclf.predict RUN --input - --output - | head
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from textclf.documents.escape import terminal
from textclf.predict.form_arguments import add_form_arguments
from textclf.system.disk import Aftermath
from textclf.system.environment import threads
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr
from textclf.system.wait_policy import watch_for_torch

WRITTEN = ("jsonl", "csv", "tsv", "parquet", "txt")
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
        "texts are given two by two. The output appears under its name when it is whole.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run folder, an MLflow run id, models:/NAME@ALIAS, latest, or best:DATASET"
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts to predict here and now")
    parser.add_argument("--input", metavar="FILE|-", help="file to predict")
    parser.add_argument("--output", metavar="FILE|-", help="file to write")
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
    with cli_errors(after=NOTHING_LEFT):
        _predict(given)


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
        given.input,
        given.output,
        Kind(given.input_format) if given.input_format else None,
        Kind(given.output_format) if given.output_format else None,
        given.force,
        form_of(given.encoding, given.delimiter, given.column_names, given.quoting),
        given.spreadsheet,
    )
    asked = TextColumns(given.text_column, given.text_pair_column, given.title_column)
    scoring = Scoring(given.label_column, Path(given.report) if given.report else None)
    done = predict_file(given.run, ends, asked, options, given.device, sys.stderr.isatty(), scoring)
    if given.output != PIPE:
        print(terminal(summary(done, given.output)), file=sys.stderr)
    for line in scores_said(done):
        print(terminal(line), file=sys.stderr)
    if done.bad_rows:
        rows = f"{done.bad_rows:,} row{'s' * (done.bad_rows > 1)}"
        print(f"warning: {rows} could not be predicted; the column {given.prefix}error says why", file=sys.stderr)


if __name__ == "__main__":
    main()
